import { createHash } from 'node:crypto';
import { createServer } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { clientFor, serve, type Answers, type FakeServer } from './fake-registry.ts';

const INDEX = 'application/vnd.oci.image.index.v1+json';
const DIGEST = `sha256:${'ab'.repeat(32)}`;
const never = new AbortController().signal;
const open: FakeServer[] = [];
afterEach(async () => {
  for (const server of open.splice(0)) await server.close();
});
async function served(answers: Answers): Promise<FakeServer> {
  const server = await serve(answers);
  open.push(server);
  return server;
}
const found: Answers = (_asked, response) => {
  response.writeHead(200, { 'content-type': INDEX, 'docker-content-digest': DIGEST }).end();
};

describe('the digest of an image', () => {
  test('is asked for with HEAD, indexes among what is accepted, and no credentials unless they are wanted', async () => {
    const server = await served(found);
    const { registry } = clientFor();
    expect(await registry.resolve(`${server.host}/team/shop:2`, never)).toEqual({
      digest: DIGEST,
      mediaType: INDEX,
    });
    expect(server.asked).toMatchObject([
      { method: 'HEAD', path: '/v2/team/shop/manifests/2', authorization: null },
    ]);
    expect(server.asked[0]?.accept.split(', ')).toEqual([
      INDEX,
      'application/vnd.docker.distribution.manifest.list.v2+json',
      'application/vnd.oci.image.manifest.v1+json',
      'application/vnd.docker.distribution.manifest.v2+json',
    ]);
  });

  test('is computed from the manifest when the registry does not tell it, or has no HEAD', async () => {
    const body = '{"schemaVersion":2}';
    const digest = `sha256:${createHash('sha256').update(body).digest('hex')}`;
    const silent = await served((_asked, response) => {
      response.writeHead(200, { 'content-type': INDEX }).end(body);
    });
    const headless = await served(({ method }, response) => {
      if (method === 'HEAD') response.writeHead(405).end();
      else response.writeHead(200, { 'content-type': `${INDEX}; charset=utf-8` }).end(body);
    });
    const { registry } = clientFor();
    expect(await registry.resolve(`${silent.host}/shop`, never)).toEqual({ digest, mediaType: INDEX });
    expect(await registry.resolve(`${headless.host}/shop`, never)).toEqual({ digest, mediaType: INDEX });
    expect(headless.asked.map(({ method, path }) => `${method} ${path}`)).toEqual([
      'HEAD /v2/shop/manifests/latest',
      'GET /v2/shop/manifests/latest',
    ]);
  });

  test('that is given already is asked for, and another answer is not believed', async () => {
    const server = await served(found);
    const { registry } = clientFor();
    expect((await registry.resolve(`${server.host}/shop@${DIGEST}`, never)).digest).toBe(DIGEST);
    expect(server.asked[0]?.path).toBe(`/v2/shop/manifests/${DIGEST}`);
    const other = `sha256:${'0'.repeat(64)}`;
    await expect(registry.resolve(`${server.host}/shop@${other}`, never)).rejects.toMatchObject({
      code: 'image_not_found',
      message: expect.stringContaining('another image'),
    });
  });

  test('of what is not there is an error that names image, tag and registry', async () => {
    const server = await served((_asked, response) => void response.writeHead(404).end());
    const { registry } = clientFor();
    await expect(registry.resolve(`${server.host}/team/shop:9`, never)).rejects.toMatchObject({
      code: 'image_not_found',
      message: `The registry ${server.host} has no tag 9 of team/shop (image ${server.host}/team/shop:9). Was it pushed?`,
      details: { registry: server.host, repository: 'team/shop', tag: '9', status: 404 },
    });
    expect(server.asked).toHaveLength(1);
  });
});

describe('a registry in trouble', () => {
  test('is asked again after longer and longer pauses, and the answer that comes then counts', async () => {
    let times = 0;
    const server = await served((asked, response) => {
      times += 1;
      if (times < 4) response.writeHead(times === 1 ? 503 : 500).end();
      else found(asked, response);
    });
    const { registry, pauses } = clientFor();
    expect((await registry.resolve(`${server.host}/shop:1`, never)).digest).toBe(DIGEST);
    expect(pauses).toEqual([250, 750, 2250]);
  });

  test('that says how long to wait is obeyed, within reason', async () => {
    let times = 0;
    const server = await served((asked, response) => {
      times += 1;
      if (times === 1) response.writeHead(429, { 'retry-after': '3' }).end();
      else if (times === 2) response.writeHead(429, { 'retry-after': '86400' }).end();
      else if (times === 3)
        response.writeHead(503, { 'retry-after': new Date(1_005_000).toUTCString() }).end();
      else found(asked, response);
    });
    const { registry, pauses } = clientFor();
    await registry.resolve(`${server.host}/shop:1`, never);
    expect(pauses).toEqual([3_000, 10_000, 5_000]);
  });

  test('that stays so is said to be unreachable', async () => {
    const server = await served((_asked, response) => void response.writeHead(502).end());
    const { registry } = clientFor();
    await expect(registry.resolve(`${server.host}/shop:1`, never)).rejects.toMatchObject({
      code: 'registry_unreachable',
      message: expect.stringContaining(`${server.host} answered 502, 4 times in a row`),
    });
    expect(server.asked).toHaveLength(4);
  });

  test('that nobody runs, hangs or breaks off is said to be unreachable', async () => {
    const { registry } = clientFor([], 200);
    const gone = await serve(found);
    await gone.close();
    await expect(registry.resolve(`${gone.host}/shop:1`, never)).rejects.toMatchObject({
      code: 'registry_unreachable',
      message: expect.stringContaining('ECONNREFUSED'),
    });
    const hangs = await served(() => undefined);
    await expect(registry.resolve(`${hangs.host}/shop:1`, never)).rejects.toThrow(
      /did not answer within 200 ms/,
    );
    const breaks = await served((_asked, response) => void response.destroy());
    await expect(registry.resolve(`${breaks.host}/shop:1`, never)).rejects.toMatchObject({
      code: 'registry_unreachable',
    });
  });

  test('that speaks something else, or endlessly, is left', async () => {
    const garbage = createServer((socket) => socket.end('SSH-2.0-x\r\n'));
    await new Promise<void>((resolve) => garbage.listen(0, '127.0.0.1', resolve));
    const address = garbage.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    try {
      await expect(
        clientFor([], 200).registry.resolve(`127.0.0.1:${port}/shop:1`, never),
      ).rejects.toMatchObject({ code: 'registry_unreachable' });
    } finally {
      garbage.close();
    }
    const endless = await served(({ method }, response) => {
      response.writeHead(200, { 'content-type': INDEX });
      if (method === 'HEAD') response.end();
      else for (let n = 0; n < 80; n += 1) response.write(Buffer.alloc(65_536));
    });
    await expect(clientFor().registry.resolve(`${endless.host}/shop:1`, never)).rejects.toThrow(
      /larger than 4194304 bytes/,
    );
  });

  test('is not waited for by who has given up', async () => {
    const hangs = await served(() => undefined);
    const stop = new AbortController();
    const asking = clientFor().registry.resolve(`${hangs.host}/shop:1`, stop.signal);
    stop.abort(new Error('enough'));
    await expect(asking).rejects.toThrow('enough');
  });
});
