import { once } from 'node:events';
import { join } from 'node:path';
import { WebSocket } from 'ws';
import type { ApiClient } from '@berth/shared/api/client';
import { untilSettled, type Chronicle } from './chronicle.ts';
import type { Bench } from './bench.ts';
import { run } from './commands.ts';
import type { DockerApi } from './docker-api.ts';

const script = join(import.meta.dirname, '..', '..', 'examples', 'shop', 'build.mjs');

/** The example's image: it speaks WebSocket. To be called before the instance starts, so that it is removed after it. */
export async function shopImage(bench: Bench, docker: DockerApi): Promise<string> {
  const instance = `bench${process.pid}`;
  const args = [script, '--socket', docker.socket, '--instance', instance];
  bench.defer('example image', async () => {
    await run(process.execPath, [...args, '--remove']);
  });
  await run(process.execPath, [...args, '--registry', `berth-bench/${instance}`]);
  return `berth-bench/${instance}/shop-web:1`;
}

export interface Neighbour {
  /** How many of its sockets were closed, or do not echo any more. */
  cut(): Promise<number>;
}

/** Another tenant of the same host, with clients that hold WebSockets through Nginx. */
export async function openNeighbour(
  bench: Bench,
  api: ApiClient,
  chronicle: Chronicle,
  options: { image: string; httpPort: number; sockets: number },
): Promise<Neighbour> {
  const compose = `name: neighbour
services:
  web:
    image: ${options.image}
    environment: { STORE: neighbour }
    user: '10001:10001'
    deploy: { resources: { limits: { memory: 128M }, reservations: { memory: 32M, cpus: '0.01' } } }
    x-berth: { route: { port: 8080, health: /health } }
x-berth: { bake: 1s }
`;
  await api.applyApp({ params: { app: 'neighbour' }, body: { compose, envFiles: {}, labels: {} } });
  const body = { tenant: 'neighbour', app: 'neighbour', domains: ['neighbour.test'], variables: {} };
  await untilSettled(chronicle, await api.createTenant({ body }));
  let closed = 0;
  const sockets = Array.from({ length: options.sockets }, () => {
    const socket = new WebSocket(`ws://127.0.0.1:${options.httpPort}/ws`, {
      headers: { host: 'neighbour.test' },
      perMessageDeflate: false,
    });
    socket.on('close', () => (closed += 1));
    socket.on('error', () => undefined);
    return socket;
  });
  bench.defer('neighbour sockets', () => {
    for (const socket of sockets) socket.terminate();
  });
  await Promise.all(sockets.map((socket) => once(socket, 'open')));
  return {
    async cut() {
      let silent = 0;
      for (const socket of sockets) {
        if (socket.readyState !== WebSocket.OPEN) continue;
        const echo = once(socket, 'message', { signal: AbortSignal.timeout(5000) });
        socket.send('still there?');
        await echo.catch(() => (silent += 1));
      }
      return closed + silent;
    },
  };
}
