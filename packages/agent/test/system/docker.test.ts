import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { versionFor } from '../../src/system/docker-calls.ts';
import { Listing } from '../../src/system/docker-listing.ts';
import { madeOf, type ListEntry } from '../../src/system/docker-types.ts';
import { DockerClient } from '../../src/system/docker.ts';

let folder: string;
let server: Server;
let client: DockerClient;
let answer: (request: IncomingMessage, response: ServerResponse, body: string) => void;
let asked: string[];
let connections: number;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'berth-socket-'));
  asked = [];
  connections = 0;
  server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`);
    if (request.url === '/_ping') {
      response.setHeader('Api-Version', '1.41');
      response.end('OK');
      return;
    }
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString('utf8')));
    request.on('end', () => answer(request, response, body));
  });
  server.on('connection', () => (connections += 1));
  await new Promise<void>((resolve) => server.listen(join(folder, 's'), resolve));
  client = new DockerClient(join(folder, 's'));
});
afterEach(async () => {
  client.close();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  await rm(folder, { recursive: true, force: true });
});

const plain = (label: string): Listing<ListEntry> => new Listing(label, (entry) => entry);

/** Each call of the client that waits for one whole answer. */
const CALLS: Readonly<Record<string, (signal?: AbortSignal, timeoutMs?: number) => Promise<unknown>>> = {
  listContainers: (signal, timeoutMs) => client.listContainers(plain('a=b'), options(signal, timeoutMs)),
  inspectContainer: (signal, timeoutMs) => client.inspectContainer('x', options(signal, timeoutMs)),
  createContainer: (signal, timeoutMs) => client.createContainer('x', {}, options(signal, timeoutMs)),
  startContainer: (signal, timeoutMs) => client.startContainer('x', options(signal, timeoutMs)),
  stopContainer: (signal, timeoutMs) => client.stopContainer('x', 1, options(signal, timeoutMs)),
  removeContainer: (signal, timeoutMs) => client.removeContainer('x', options(signal, timeoutMs)),
  waitContainer: (signal, timeoutMs) => client.waitContainer('x', options(signal, timeoutMs)),
  tailLogs: (signal, timeoutMs) => client.tailLogs('x', false, 5, options(signal, timeoutMs)),
  exec: (signal, timeoutMs) => client.exec('x', ['true'], options(signal, timeoutMs)),
  hasImage: (signal, timeoutMs) => client.hasImage('x', options(signal, timeoutMs)),
  listNetworks: (signal, timeoutMs) => client.listNetworks('a=b', options(signal, timeoutMs)),
  inspectNetwork: (signal, timeoutMs) => client.inspectNetwork('x', options(signal, timeoutMs)),
  createNetwork: (signal, timeoutMs) => client.createNetwork({}, options(signal, timeoutMs)),
  removeNetwork: (signal, timeoutMs) => client.removeNetwork('x', options(signal, timeoutMs)),
  inspectVolume: (signal, timeoutMs) => client.inspectVolume('x', options(signal, timeoutMs)),
  createVolume: (signal, timeoutMs) => client.createVolume('x', {}, options(signal, timeoutMs)),
  dataRoot: (signal, timeoutMs) => client.dataRoot(options(signal, timeoutMs)),
};

function options(
  signal?: AbortSignal,
  timeoutMs = 5_000,
): { signal: AbortSignal | undefined; timeoutMs: number } {
  return { signal, timeoutMs };
}

describe.each(Object.entries(CALLS))('%s', (_name, call) => {
  test('gives up on a daemon that hangs', async () => {
    answer = () => {};
    await expect(call(undefined, 60)).rejects.toMatchObject({ code: 'timeout' });
  });

  test('gives up on an answer that stops in the middle', async () => {
    answer = (_request, response) => {
      response.writeHead(200, { 'content-length': '100' });
      response.write('{"Id":');
    };
    await expect(call(undefined, 60)).rejects.toMatchObject({ code: 'timeout' });
  });

  test('rejects with the reason of an abort, before the answer and in the middle of it', async () => {
    for (const begun of [false, true]) {
      const controller = new AbortController();
      answer = (_request, response) => {
        if (begun) {
          response.writeHead(200, { 'content-length': '100' });
          response.write('{"Id":');
        }
        setImmediate(() => controller.abort(new Error('enough')));
      };
      await expect(call(controller.signal)).rejects.toThrow('enough');
    }
  });

  test('says so when the daemon dies before the answer or in the middle of it', async () => {
    for (const begun of [false, true]) {
      answer = (request, response) => {
        if (!begun) request.socket.destroy();
        else {
          response.writeHead(200, { 'content-length': '100' });
          response.write('{"Id":', () => request.socket.destroy());
        }
      };
      await expect(call()).rejects.toMatchObject({ code: 'docker_unavailable' });
    }
  });
});

describe('the Docker client', () => {
  test('asks for the daemon’s version once and keeps to it', async () => {
    answer = (_request, response) => response.end('[]');
    await client.listContainers(plain('berth.agent=a'));
    await client.listContainers(plain('berth.agent=a'));
    expect(asked.filter((line) => line === 'GET /_ping')).toHaveLength(1);
    expect(asked[1]).toMatch(/^GET \/v1\.41\/containers\/json\?all=true&filters=/);
  });

  test('asks for the version again after the daemon was away', async () => {
    answer = (request) => request.socket.destroy();
    await expect(client.listContainers(plain('x=y'))).rejects.toMatchObject({ code: 'docker_unavailable' });
    answer = (_request, response) => response.end('[]');
    await client.listContainers(plain('x=y'));
    expect(asked.filter((line) => line === 'GET /_ping')).toHaveLength(2);
  });

  test('keeps no connection that could die with the daemon', async () => {
    answer = (_request, response) => response.end('[]');
    await client.listContainers(plain('x=y'));
    await client.listContainers(plain('x=y'));
    expect(connections).toBe(asked.length);
  });

  test('says that Docker is not there, and where it looked', async () => {
    const nobody = new DockerClient(join(folder, 'nobody'));
    await expect(nobody.listContainers(plain('x=y'))).rejects.toMatchObject({
      code: 'docker_unavailable',
      message: expect.stringContaining(join(folder, 'nobody')),
    });
  });

  test('turns refusals into codes and the daemon’s own words', async () => {
    answer = (_request, response) => {
      response.statusCode = 409;
      response.end('{"message":"name \\u001b[31mtaken - by x"}');
    };
    await expect(client.createContainer('x', {})).rejects.toMatchObject({
      code: 'conflict',
      message: 'Docker: name taken - by x',
      details: { status: 409 },
    });
    answer = (_request, response) => {
      response.statusCode = 500;
      response.end('no JSON');
    };
    await expect(client.startContainer('x')).rejects.toMatchObject({
      code: 'internal',
      message: 'Docker: no JSON',
      details: { status: 500 },
    });
  });

  test('what is to be created goes into the body only: addresses are logged', async () => {
    const bodies: string[] = [];
    answer = (_request, response, body) => {
      bodies.push(body);
      response.statusCode = 201;
      response.end('{"Id":"1","Name":"n"}');
    };
    expect(await client.createContainer('web', { Env: ['KEY=secret'] })).toBe('1');
    await client.createNetwork({ Name: 'net', Labels: { a: 'b' } });
    await client.createVolume('vol', { a: 'b' });
    expect(asked.slice(1)).toEqual([
      'POST /v1.41/containers/create?name=web',
      'POST /v1.41/networks/create?',
      'POST /v1.41/volumes/create?',
    ]);
    expect(bodies.map((body): unknown => JSON.parse(body))).toEqual([
      { Env: ['KEY=secret'] },
      { Name: 'net', Labels: { a: 'b' } },
      { Name: 'vol', Driver: 'local', Labels: { a: 'b' } },
    ]);
  });

  test('what was so already is no error', async () => {
    answer = (request, response) => {
      response.statusCode = request.url?.endsWith('/start') === true ? 304 : 404;
      response.end(response.statusCode === 404 ? '{"message":"no such thing"}' : undefined);
    };
    await client.startContainer('x');
    await client.stopContainer('x', 1_000);
    await client.removeContainer('x');
    await client.removeNetwork('x');
    expect(await client.inspectContainer('x')).toBeNull();
    expect(await client.inspectNetwork('x')).toBeNull();
    expect(await client.inspectVolume('x')).toBeNull();
    expect(await client.hasImage('registry/x:1')).toBe(false);
    expect(asked.at(-1)).toBe('GET /v1.41/images/registry%2Fx%3A1/json');
    expect(await client.tailLogs('x', false, 5)).toBe('');
  });

  test('an answer that is no JSON is no list, and an entry of another form is none of ours', async () => {
    answer = (_request, response) => response.end('<html>');
    await expect(client.listContainers(plain('x=y'))).rejects.toMatchObject({ code: 'docker_unavailable' });
    answer = (_request, response) => response.end('{}');
    await expect(client.listContainers(plain('x=y'))).rejects.toMatchObject({ code: 'docker_unavailable' });
    answer = (_request, response) =>
      response.end('[{"Id":1},null,{"Id":"a","Names":null,"Labels":null,"State":"running","Status":"Up"}]');
    const entries = await client.listContainers(plain('x=y'));
    expect(entries).toEqual([
      { id: 'a', state: 'running', status: 'Up', made: { names: null, labels: null } },
    ]);
    expect(entries.map(madeOf)).toEqual([{ names: [], labels: {} }]);
    expect(entries.map((entry) => madeOf({ ...entry, made: { names: 1 } }))).toEqual([null]);
  });

  test('log lines come as they are, also when one of them is JSON', async () => {
    answer = (_request, response) => response.end('{"level":"info"}');
    expect(await client.tailLogs('x', true, 5)).toBe('{"level":"info"}');
    expect(asked.at(-1)).toBe('GET /v1.41/containers/x/logs?stdout=1&stderr=1&tail=5');
  });
});

describe('streams', () => {
  test('a pull tells what the registry complained of', async () => {
    answer = (_request, response) =>
      response.end('{"status":"Pulling"}\n{torn\n{"errorDetail":{},"error":"manifest unknown"}\n');
    expect(await client.pullImage('registry/x:1')).toBe('manifest unknown');
    expect(asked.at(-1)).toBe('POST /v1.41/images/create?fromImage=registry%2Fx&tag=1');
    answer = (_request, response) => response.end('{"status":"Pulling"}\n{"status":"Done"}\n');
    expect(await client.pullImage('registry/x:1')).toBeNull();
  });

  test('a pull that the daemon refuses at once says so in its words', async () => {
    answer = (_request, response) => {
      response.statusCode = 404;
      response.end('{"message":"pull access denied"}');
    };
    await expect(client.pullImage('x:1')).rejects.toMatchObject({
      code: 'not_found',
      message: 'Docker: pull access denied',
    });
  });

  test('a pull breaks off with the daemon', async () => {
    answer = (request, response) => {
      response.write('{"status":"Pulling"}\n', () => request.socket.destroy());
    };
    await expect(client.pullImage('x:1')).rejects.toMatchObject({ code: 'docker_unavailable' });
  });

  test('events come until the daemon goes away', async () => {
    const event = { Type: 'container', Action: 'die', Actor: { ID: 'a', Attributes: null }, timeNano: 5 };
    answer = (request, response) => {
      response.write(`${JSON.stringify(event)}\n{"odd":1}\n`, () => request.socket.destroy());
    };
    const seen: unknown[] = [];
    const told = client.events(
      { type: ['container'] },
      { signal: new AbortController().signal, sinceSeconds: 9 },
    );
    await expect(
      (async () => {
        for await (const each of told) seen.push(each);
      })(),
    ).rejects.toMatchObject({ code: 'docker_unavailable' });
    expect(seen).toEqual([{ type: 'container', action: 'die', id: 'a', attributes: {}, at: 5 }]);
    expect(asked.at(-1)).toMatch(/^GET \/v1\.41\/events\?filters=.*&since=9$/);
  });

  test('events end with the signal’s reason, and let go of the connection', async () => {
    const controller = new AbortController();
    const closed = Promise.withResolvers<void>();
    answer = (request, response) => {
      request.socket.once('close', () => closed.resolve());
      response.flushHeaders();
      setImmediate(() => controller.abort(new Error('enough')));
    };
    const told = client.events({}, { signal: controller.signal });
    await expect(told.next()).rejects.toThrow('enough');
    await closed.promise;
  });
});

test('speaks the newest version that both know', () => {
  expect(versionFor('1.41')).toBe('v1.41');
  expect(versionFor('1.52')).toBe('v1.44');
  expect(versionFor('')).toBeUndefined();
});
