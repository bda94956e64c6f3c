import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { SUBPROTOCOL } from '@berth/shared/protocol/messages';
import { WebSocket } from 'ws';
import { Config } from '../../src/config.ts';
import { createContext, type CoordinatorContext } from '../../src/context.ts';
import { limitConnections } from '../../src/http/connections.ts';
import { createHttpServer } from '../../src/http/http-server.ts';
import { HttpSettings } from '../../src/http/settings.ts';
import { startServer, type RunningServer } from '../../src/server.ts';

const ORIGIN = 'https://berth.example.com';
let context: CoordinatorContext;
let server: RunningServer;
let stop: AbortController;
let sockets: Socket[];
const silent = { debug() {}, info() {}, warn() {}, error() {} };

beforeEach(async () => {
  stop = new AbortController();
  sockets = [];
  const config = Config.parse({
    listen: { port: 0 },
    store: { kind: 'sqlite', path: ':memory:' },
    http: { origins: [ORIGIN], headersTimeoutMs: 300, requestTimeoutMs: 600 },
  });
  context = await createContext(config, silent, stop.signal);
  server = await startServer(context, config, silent, stop.signal);
});
afterEach(async () => {
  for (const socket of sockets) socket.destroy();
  stop.abort();
  await server.closed;
  await context.close();
});

async function open(to: string = server.url): Promise<Socket> {
  const socket = connect(Number(new URL(to).port), '127.0.0.1');
  sockets.push(socket);
  socket.on('error', () => {});
  await once(socket, 'connect');
  return socket;
}

/** All that comes until the other side closes. */
async function untilClosed(socket: Socket): Promise<string> {
  let text = '';
  socket.setEncoding('utf8');
  socket.on('data', (chunk) => (text += String(chunk)));
  if (!socket.closed) await once(socket, 'close');
  return text;
}

/** Sends a byte every 50 ms for as long as it may. */
function drip(socket: Socket, byte: string): void {
  const timer = setInterval(() => socket.write(byte), 50);
  socket.once('close', () => clearInterval(timer));
}

describe('a connection', () => {
  test('on which headers drip in is cut off', async () => {
    const socket = await open();
    socket.write('GET /healthz HTTP/1.1\r\nhost: x\r\nx-slow: ');
    drip(socket, 'a');
    expect(await untilClosed(socket)).toMatch(/^(HTTP\/1\.1 408 |$)/);
  });

  test('on which a body drips in is cut off', async () => {
    const socket = await open();
    socket.write(
      'POST /api/v1/hosts/enrol HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 5000\r\n\r\n{',
    );
    drip(socket, ' ');
    expect(await untilClosed(socket)).not.toContain('HTTP/1.1 2');
  });

  test('that breaks off in the middle of a body is no failure of ours', async () => {
    const socket = await open();
    socket.write(
      'POST /api/v1/hosts/enrol HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 90\r\n\r\n{',
    );
    const by = { actor: 'test', requestId: '' };
    const { token } = await context.services.access.create(by, { name: 'metrics', role: 'viewer' });
    const headers = { authorization: `Bearer ${token}` };
    const seen = async () => await (await fetch(`${server.url}/metrics`, { headers })).text();
    socket.destroySoon();
    await expect.poll(seen).toMatch(/berth_http_requests_total\{[^}]*hosts\/enrol[^}]*status="400"[^}]*\} 1/);
    expect(await seen()).not.toMatch(/status="500"/);
  });

  test('on which somebody without a token sends more than an enrolment takes is not read', async () => {
    const send = (bytes: number) =>
      fetch(`${server.url}/api/v1/hosts/enrol`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: '['.repeat(bytes),
      });
    expect((await send(64 * 1024)).status).toBe(400);
    const refused = await send(64 * 1024 + 1);
    expect([refused.status, await refused.text()]).toEqual([413, expect.stringContaining('64 KiB')]);
  });

  test('on which nothing ever comes is cut off', async () => {
    expect(await untilClosed(await open())).toMatch(/^(HTTP\/1\.1 408 |$)/);
  });

  test('with too many or too large headers is refused before anything else is looked at', async () => {
    const heads = [
      Array.from({ length: 101 }, (_, n) => `x-${n}: 1`).join('\r\n'),
      `x-long: ${'a'.repeat(20_000)}`,
    ];
    for (const head of heads) {
      const socket = await open();
      socket.write(`GET /healthz HTTP/1.1\r\nhost: x\r\n${head}\r\n\r\n`);
      expect(await untilClosed(socket)).toMatch(/^HTTP\/1\.1 431 /);
    }
  });

  test('that two requests are smuggled on is refused', async () => {
    for (const head of [
      'content-length: 5\r\ntransfer-encoding: chunked',
      'content-length: 5\r\ncontent-length: 6',
      'transfer-encoding: chunked, identity',
    ]) {
      const socket = await open();
      socket.write(
        `POST /api/v1/hosts/enrol HTTP/1.1\r\nhost: x\r\n${head}\r\n\r\n0\r\n\r\nGET /healthz HTTP/1.1\r\n\r\n`,
      );
      expect(await untilClosed(socket)).toMatch(/^HTTP\/1\.1 400 /);
    }
  });
});

describe('a WebSocket', () => {
  async function outcome(origin: string | undefined): Promise<number | 'open'> {
    const socket = new WebSocket(
      `${server.url.replace('http', 'ws')}/api/v1/agent/connect`,
      [SUBPROTOCOL],
      origin === undefined ? {} : { origin },
    );
    socket.on('error', () => {});
    const status = Promise.withResolvers<number | 'open'>();
    socket.once('open', () => status.resolve('open'));
    socket.once('unexpected-response', (_request, response) => {
      response.resume();
      status.resolve(response.statusCode ?? 0);
    });
    const seen = await status.promise;
    socket.terminate();
    return seen;
  }

  test('is opened for an agent, which has no page, and for a page that is listed, and for no other', async () => {
    expect(await outcome(undefined)).toBe('open');
    expect(await outcome(ORIGIN)).toBe('open');
    for (const origin of [
      'https://evil.example',
      'null',
      `${ORIGIN}.evil.example`,
      'http://berth.example.com',
    ])
      expect(await outcome(origin), origin).toBe(403);
  });
});

test('an address that holds its share of connections without a good token gets no more until one is proven or closed', async () => {
  const settings = HttpSettings.parse({});
  const http = createHttpServer(settings, (incoming, outgoing) => {
    if (incoming.url === '/prove') connections.proven(incoming.socket);
    outgoing.end('ok');
  });
  const connections = limitConnections(http, 3, () => false);
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  const address = http.address();
  const url = `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`;
  const ask = async (socket: Socket, path: string): Promise<string> => {
    socket.write(`GET ${path} HTTP/1.1\r\nhost: x\r\n\r\n`);
    const [chunk] = await once(socket, 'data');
    return String(chunk).split('\r\n')[0] ?? '';
  };
  try {
    const held = [await open(url), await open(url), await open(url)];
    expect(await untilClosed(await open(url))).toMatch(/^HTTP\/1\.1 429 [\s\S]*retry-after: 10/);
    for (const socket of held.slice(0, 1)) expect(await ask(socket, '/prove')).toBe('HTTP/1.1 200 OK');
    expect(await ask(await open(url), '/')).toBe('HTTP/1.1 200 OK');
    expect(await untilClosed(await open(url))).toMatch(/^HTTP\/1\.1 429 /);
    held[1]?.destroy();
    await expect
      .poll(async () => await ask(await open(url), '/').catch(() => 'refused'))
      .toBe('HTTP/1.1 200 OK');
  } finally {
    http.closeAllConnections();
    await new Promise<void>((resolve) => http.close(() => resolve()));
  }
});
