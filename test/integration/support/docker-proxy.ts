import { connect, createServer, type Server, type Socket } from 'node:net';
import { rm } from 'node:fs/promises';

/** A socket in front of the daemon's own, so that one test can take "its" daemon away and count what is asked of it. */
export interface DockerProxy {
  path: string;
  /** Request lines since the last `clear`, such as `GET /v1.41/containers/json?…`. */
  requests: string[];
  clear(): void;
  up(): Promise<void>;
  down(): Promise<void>;
}

export function createDockerProxy(path: string, target: string): DockerProxy {
  let server: Server | null = null;
  const open = new Set<Socket>();
  const requests: string[] = [];
  return {
    path,
    requests,
    clear() {
      requests.length = 0;
    },
    async up() {
      await rm(path, { force: true });
      const started = createServer((client) => {
        const daemon = connect(target);
        for (const socket of [client, daemon]) {
          open.add(socket);
          socket.on('error', () => {});
          socket.on('close', () => {
            open.delete(socket);
            client.destroy();
            daemon.destroy();
          });
        }
        client.on('data', (chunk) => {
          const line = /^(?:GET|POST|DELETE|HEAD) \S+/.exec(chunk.toString('latin1'));
          if (line !== null) requests.push(line[0]);
        });
        client.pipe(daemon);
        daemon.pipe(client);
      });
      await new Promise<void>((resolve, reject) => {
        started.on('error', reject);
        started.listen(path, resolve);
      });
      server = started;
    },
    async down() {
      const stopped = server;
      server = null;
      for (const socket of open) socket.destroy();
      if (stopped !== null) await new Promise<void>((resolve) => stopped.close(() => resolve()));
      await rm(path, { force: true });
    },
  };
}
