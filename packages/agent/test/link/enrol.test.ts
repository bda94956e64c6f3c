import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { text } from 'node:stream/consumers';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { BerthError } from '@berth/shared/domain/errors';
import { enrol } from '../../src/link/enrol.ts';
import type { Identity } from '../../src/state/identity.ts';

const TOKEN = 'berth_join_0123456789abcdefghijklmnop_secret';
const HOST = 'h_0123456789abcdef';
let directory: string;
let bound: string | null;
let asked: { url: string; body: unknown }[];
const servers: Server[] = [];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'berth-enrol-'));
  bound = null;
  asked = [];
});
afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.close();
    server.closeAllConnections();
  }
  await rm(directory, { recursive: true, force: true });
});

const identity: Identity = {
  publicKey: 'the public key',
  host: () => bound,
  instance: () => null,
  claim: () => Promise.resolve(),
  renew: () => Promise.resolve(),
  sign: () => 'signature',
  bind: (host) => {
    bound = host;
    return Promise.resolve();
  },
};

/** A coordinator that gives every request this answer, or none at all. */
async function answering(status: number | null, body: unknown = {}): Promise<string> {
  const server = createServer((request, response) => {
    void text(request).then((given) => {
      asked.push({ url: `${request.method} ${request.url}`, body: JSON.parse(given) });
      if (status === null) return;
      response.writeHead(status, { 'content-type': 'application/json' });
      response.end(typeof body === 'string' ? body : JSON.stringify(body));
    });
  });
  servers.push(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return `http://127.0.0.1:${address.port}`;
}

const FROM_ENV = { kind: 'env', variable: 'BERTH_JOIN_TOKEN' } as const;

function enrolling(
  url: string,
  token: Parameters<typeof enrol>[0]['token'] = FROM_ENV,
  signal?: AbortSignal,
): Promise<string> {
  const env = { BERTH_JOIN_TOKEN: ` ${TOKEN}\n` };
  return enrol({ url, name: 'web-1', token, identity, env, ...(signal === undefined ? {} : { signal }) });
}

/** What a failed attempt threw: it is told to people and logged, causes included. */
async function failure(attempt: Promise<string>): Promise<BerthError> {
  const thrown: unknown = await attempt.then(
    () => null,
    (error: unknown) => error,
  );
  if (!(thrown instanceof BerthError)) throw new Error(`expected a BerthError, got ${inspect(thrown)}`);
  const everything = inspect(thrown, { depth: 20, showHidden: true });
  expect(everything).not.toContain(TOKEN);
  return thrown;
}

describe('enrolment', () => {
  test('sends token, key and name, and binds the host it is given', async () => {
    expect(await enrolling(await answering(200, { host: HOST, pool: 'default' }))).toBe(HOST);
    expect(bound).toBe(HOST);
    // In the body: an address with a token in it would be in somebody's access log.
    expect(asked).toEqual([
      {
        url: 'POST /api/v1/hosts/enrol',
        body: { token: TOKEN, publicKey: 'the public key', name: 'web-1' },
      },
    ]);
  });

  test('reads the token from a file', async () => {
    const path = join(directory, 'token');
    await writeFile(path, `${TOKEN}\n`);
    await enrolling(await answering(200, { host: HOST, pool: 'default' }), { kind: 'file', path });
    expect(asked[0]?.body).toMatchObject({ token: TOKEN });
  });

  test('asks nobody when the host is bound already, and needs no token then', async () => {
    bound = HOST;
    const missing = { kind: 'file', path: join(directory, 'missing') } as const;
    expect(await enrolling(await answering(500), missing)).toBe(HOST);
    expect(asked).toEqual([]);
  });

  test.each([401, 403])('is unauthenticated when the token is refused with %i', async (status) => {
    const refusal = { error: { code: 'unauthenticated', message: 'This join token has run out.' } };
    const url = await answering(status, refusal);
    const error = await failure(enrolling(url));
    expect(error.code).toBe('unauthenticated');
    expect(error.message).toBe(
      `The coordinator at ${url} did not enrol this host: This join token has run out.`,
    );
    expect(bound).toBeNull();
  });

  test('is unavailable when nobody answers', async () => {
    const url = await answering(200);
    for (const server of servers.splice(0)) {
      server.close();
      await once(server, 'close');
    }
    const error = await failure(enrolling(url));
    expect(error.code).toBe('unavailable');
    expect(error.message).toContain(`No coordinator answers at ${url}`);
    expect(bound).toBeNull();
  });

  test('is unavailable when what answers is not well, or not a coordinator', async () => {
    const broken = await failure(enrolling(await answering(502, '<html>Bad Gateway</html>')));
    expect(broken.code).toBe('unavailable');
    expect(broken.message).toContain('it answered 502');
    for (const body of ['<html>hello</html>', { host: '../../etc', pool: 'x' }])
      expect((await failure(enrolling(await answering(200, body)))).code).toBe('internal');
    expect(bound).toBeNull();
  });

  test('says where the token should be when it is not there', async () => {
    const path = join(directory, 'missing');
    const url = await answering(200, { host: HOST, pool: 'default' });
    expect((await failure(enrolling(url, { kind: 'file', path }))).message).toContain(path);
    const empty = await failure(enrolling(url, { kind: 'env', variable: 'OTHER' }));
    expect(empty.message).toBe(
      'There is no join token in the environment variable OTHER; make one with: berth host join-token',
    );
    await writeFile(path, '\n');
    expect((await failure(enrolling(url, { kind: 'file', path }))).code).toBe('invalid_request');
    expect(asked).toEqual([]);
  });

  test('ends when it is no longer wanted', async () => {
    const stopping = new AbortController();
    const attempt = failure(enrolling(await answering(null), FROM_ENV, stopping.signal));
    await vi.waitFor(() => expect(asked).toHaveLength(1));
    stopping.abort();
    expect((await attempt).code).toBe('unavailable');
  });
});
