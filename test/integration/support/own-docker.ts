import { spawn, type ChildProcess } from 'node:child_process';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Docker from 'dockerode';

/** A daemon of one test's own, which it may kill and start again without hurting others. */
export interface OwnDocker {
  socketPath: string;
  docker: Docker;
  start(): Promise<void>;
  /** Stops its containers too, as a shutdown does. */
  stop(): Promise<void>;
  close(): Promise<void>;
}

/** It touches no iptables rule and makes no default bridge, so that it can run beside any other. */
export async function createOwnDocker(): Promise<OwnDocker> {
  const folder = await mkdtemp(join(tmpdir(), 'berth-dockerd-'));
  await mkdir(join(folder, 'data'));
  const socketPath = join(folder, 'docker.sock');
  const docker = new Docker({ socketPath });
  let child: ChildProcess | null = null;

  const stop = async (): Promise<void> => {
    const running = child;
    child = null;
    if (running === null || running.exitCode !== null) return;
    const ended = new Promise((resolve) => running.once('exit', resolve));
    running.kill('SIGTERM');
    await ended;
  };
  const start = async (): Promise<void> => {
    const args = [
      ...['--data-root', join(folder, 'data'), '--exec-root', join(folder, 'exec')],
      ...['--pidfile', join(folder, 'pid'), '-H', `unix://${socketPath}`],
      ...['--bridge', 'none', '--iptables=false', '--ip-masq=false', '--userland-proxy=false'],
    ];
    child = spawn('dockerd', args, { stdio: 'ignore' });
    for (let round = 0; round < 300; round += 1) {
      if (await docker.ping().then(Boolean, () => false)) return;
      if (child.exitCode !== null) throw new Error(`dockerd ended with exit code ${child.exitCode}`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    throw new Error('dockerd did not answer within 30 s');
  };
  return {
    socketPath,
    docker,
    start,
    stop,
    async close() {
      await stop();
      await rm(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 200 });
    },
  };
}
