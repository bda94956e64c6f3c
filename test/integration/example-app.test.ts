import { execFile, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, describe, expect, test } from 'vitest';
import { z } from 'zod';

const example = fileURLToPath(new URL('../../examples/shop/', import.meta.url));
const run = promisify(execFile);
const Listening = z.object({ message: z.literal('listening'), port: z.int() });

const stops: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

/** The web server as a process of this machine, on a free port. */
async function startWeb(env: Record<string, string> = {}) {
  const child = spawn(process.execPath, [`${example}app/web`], {
    env: { PORT: '0', STORE: 'acme', GREETING: 'hi', SHOP_VERSION: '7', ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit').then(([code]: unknown[]) => code);
  stops.push(async () => {
    child.kill('SIGKILL');
    await exited;
  });
  for await (const line of createInterface({ input: child.stdout })) {
    const { port } = Listening.parse(JSON.parse(line));
    return { child, exited, port, url: `http://127.0.0.1:${port}` };
  }
  throw new Error('the web server ended before it listened');
}

describe('the example app', () => {
  test('its front page shows tenant, greeting and version', async () => {
    const web = await startWeb();
    const answer: unknown = await (await fetch(web.url)).json();
    expect(answer).toMatchObject({ tenant: 'acme', greeting: 'hi', version: '7' });
  });

  test('it echoes WebSocket messages of every frame size', async () => {
    const web = await startWeb();
    const socket = new WebSocket(`ws://127.0.0.1:${web.port}/ws`);
    await once(socket, 'open');
    for (const size of [5, 125, 126, 65_535, 65_536, 200_000]) {
      const sent = 'x'.repeat(size);
      const received = once(socket, 'message');
      socket.send(sent);
      const [event] = (await received) as [MessageEvent];
      expect(event.data).toBe(sent);
    }
    socket.close();
  });

  test('on SIGTERM it finishes the open request, says goodbye to WebSockets and exits 0', async () => {
    const web = await startWeb();
    const socket = new WebSocket(`ws://127.0.0.1:${web.port}/ws`);
    await once(socket, 'open');
    const goodbye = once(socket, 'close');
    const slow = fetch(`${web.url}/slow?ms=600`);
    // Until the slow request has arrived, a second one on another connection goes through.
    await fetch(`${web.url}/health`);
    web.child.kill('SIGTERM');
    expect((await slow).status).toBe(200);
    const [event] = (await goodbye) as [CloseEvent];
    expect(event.code).toBe(1001);
    expect(await web.exited).toBe(0);
    await expect(fetch(web.url)).rejects.toThrow();
  });

  test('with FAIL_HEALTH=1 the health command exits 1, otherwise 0', async () => {
    for (const [value, code] of [
      ['1', 1],
      ['', 0],
    ] as const) {
      const web = await startWeb({ FAIL_HEALTH: value });
      const child = spawn(process.execPath, [`${example}app/health`], { env: { PORT: String(web.port) } });
      const [exit] = (await once(child, 'exit')) as unknown[];
      expect(exit).toBe(code);
    }
  });

  test('its image is made without a registry, found again the second time, and removed by its instance only', async () => {
    const socket = (process.env['DOCKER_HOST'] ?? 'unix:///var/run/docker.sock').replace('unix://', '');
    const instance = `t${randomUUID().slice(0, 8)}`;
    const args = [
      `${example}build.mjs`,
      '--socket',
      socket,
      '--instance',
      instance,
      '--registry',
      `${instance}.test`,
    ];
    const Built = z.object({
      cached: z.boolean(),
      images: z.array(z.object({ ref: z.string(), id: z.string() })),
    });
    const Removed = z.object({ removed: z.array(z.string()), kept: z.array(z.unknown()) });
    const call = async (...more: string[]): Promise<unknown> =>
      JSON.parse((await run(process.execPath, [...args, '--json', ...more])).stdout);
    stops.push(async () => void (await call('--remove')));

    const first = Built.parse(await call());
    expect(first.cached).toBe(false);
    expect(first.images.map((image) => image.ref)).toEqual([
      `${instance}.test/shop-web:1`,
      `${instance}.test/shop-web:2`,
    ]);
    const second = Built.parse(await call());
    expect(second).toEqual({ ...first, cached: true });
    const other = [...args];
    other[other.indexOf(instance)] = `${instance}-other`;
    const { stdout } = await run(process.execPath, [...other, '--json', '--remove']);
    expect(Removed.parse(JSON.parse(stdout)).removed).toEqual([]);
    const removed = Removed.parse(await call('--remove'));
    expect(removed.removed.sort()).toEqual(first.images.map((image) => image.ref).sort());
    expect(removed.kept).toEqual([]);
  });
});
