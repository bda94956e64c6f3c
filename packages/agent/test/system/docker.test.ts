import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { demultiplex, jsonLines } from '../../src/system/docker-streams.ts';
import { DockerClient, prefixFor } from '../../src/system/docker.ts';

let folder: string;
let server: Server;
let client: DockerClient;
let answer: (request: IncomingMessage, response: ServerResponse) => void;
let asked: string[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'berth-docker-'));
  asked = [];
  server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`);
    if (request.url === '/_ping') {
      response.setHeader('Api-Version', '1.41');
      response.end('OK');
    } else answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(join(folder, 's'), resolve));
  client = new DockerClient(join(folder, 's'));
});
afterEach(async () => {
  client.close();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  await rm(folder, { recursive: true, force: true });
});

describe('the Docker client', () => {
  test('asks for the daemon’s version once and keeps to it', async () => {
    answer = (_request, response) => response.end('[]');
    await client.listContainers('berth.agent=a');
    await client.listContainers('berth.agent=a');
    expect(asked.filter((line) => line === 'GET /_ping')).toHaveLength(1);
    expect(asked[1]).toMatch(/^GET \/v1\.41\/containers\/json\?all=1&filters=/);
  });

  test('gives up on a daemon that hangs', async () => {
    answer = () => {};
    await expect(client.inspectContainer('x', { timeoutMs: 100 })).rejects.toMatchObject({ code: 'timeout' });
  });

  test('gives up on an answer that stops in the middle', async () => {
    answer = (_request, response) => {
      response.writeHead(200, { 'content-length': '100' });
      response.write('{"Id":');
    };
    await expect(client.inspectContainer('x', { timeoutMs: 100 })).rejects.toMatchObject({ code: 'timeout' });
  });

  test('rejects with the reason of an abort', async () => {
    answer = () => {};
    const controller = new AbortController();
    const running = client.inspectContainer('x', { signal: controller.signal });
    setImmediate(() => controller.abort(new Error('enough')));
    await expect(running).rejects.toThrow('enough');
  });

  test('says that Docker is not there, and where it looked', async () => {
    const nobody = new DockerClient(join(folder, 'nobody'));
    await expect(nobody.listContainers('x=y')).rejects.toMatchObject({
      code: 'docker_unavailable',
      message: expect.stringContaining(join(folder, 'nobody')),
    });
  });

  test('asks once more when a kept connection has died with the last daemon', async () => {
    let count = 0;
    answer = (request, response) => {
      count += 1;
      if (count === 2) request.socket.destroy();
      else response.end('[]');
    };
    await client.listContainers('x=y');
    expect(await client.listContainers('x=y')).toEqual([]);
  });

  test('turns refusals into codes and the daemon’s own words', async () => {
    answer = (_request, response) => {
      response.statusCode = 409;
      response.end('{"message":"name \\u001b[31mtaken"}');
    };
    await expect(client.createContainer('x', {})).rejects.toMatchObject({
      code: 'conflict',
      message: 'Docker: name taken',
      details: { status: 409 },
    });
  });

  test('an answer that is no JSON is no list', async () => {
    answer = (_request, response) => response.end('<html>');
    await expect(client.listContainers('x=y')).rejects.toMatchObject({ code: 'docker_unavailable' });
    answer = (_request, response) => response.end('{}');
    await expect(client.listContainers('x=y')).rejects.toMatchObject({ code: 'docker_unavailable' });
  });
});

test('speaks the newest version that both know', () => {
  expect(prefixFor('1.41')).toBe('/v1.41');
  expect(prefixFor('1.52')).toBe('/v1.44');
  expect(prefixFor(null)).toBe('');
});

test('both streams of a container become one text, and text without frames stays as it is', () => {
  const frame = (kind: number, text: string): Buffer => {
    const head = Buffer.from([kind, 0, 0, 0, 0, 0, 0, 0]);
    head.writeUInt32BE(Buffer.byteLength(text), 4);
    return Buffer.concat([head, Buffer.from(text)]);
  };
  expect(demultiplex(Buffer.concat([frame(1, 'out\n'), frame(2, 'err\n')]))).toBe('out\nerr\n');
  expect(demultiplex(Buffer.from('plain text without frames'))).toBe('plain text without frames');
  expect(demultiplex(frame(1, 'cut off here').subarray(0, 12))).toBe('cut ');
});

test('JSON lines are read across chunks, and torn ones left out', async () => {
  async function* chunks(): AsyncGenerator<Buffer> {
    for (const text of ['{"a":', '1}\n{"b":"ü', '"}\n{torn\n', '{"c":3}'])
      yield await Promise.resolve(Buffer.from(text));
  }
  const seen: unknown[] = [];
  for await (const value of jsonLines(chunks())) seen.push(value);
  expect(seen).toEqual([{ a: 1 }, { b: 'ü' }, { c: 3 }]);
});
