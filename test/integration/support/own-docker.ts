import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import Docker from 'dockerode';

const run = promisify(execFile);

/** A daemon of one test's own, which it may kill and start again without hurting others. */
export interface OwnDocker {
  socketPath: string;
  docker: Docker;
  start(): Promise<void>;
  /** Stops its containers too, as a shutdown does. */
  stop(): Promise<void>;
  close(): Promise<void>;
}

/**
 * It touches no iptables rule and brings a bridge of its own (with `--bridge none` a daemon removes docker0, whoever made
 * it), so that it can run beside any other.
 */
export async function createOwnDocker(): Promise<OwnDocker> {
  const folder = await mkdtemp(join(tmpdir(), 'berth-dockerd-'));
  await mkdir(join(folder, 'data'));
  const socketPath = join(folder, 'docker.sock');
  const docker = new Docker({ socketPath });
  const bridge = `bd${process.pid}`;
  await run('ip', ['link', 'add', 'name', bridge, 'type', 'bridge']);
  await run('ip', ['addr', 'add', `100.64.${process.pid % 250}.1/28`, 'dev', bridge]);
  await run('ip', ['link', 'set', bridge, 'up']);
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
      '--data-root',
      join(folder, 'data'),
      '--exec-root',
      join(folder, 'exec'),
      '--pidfile',
      join(folder, 'pid'),
      '-H',
      `unix://${socketPath}`,
      '--bridge',
      bridge,
      '--iptables=false',
      '--ip-masq=false',
      '--userland-proxy=false',
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
      await run('ip', ['link', 'del', bridge]);
      await rm(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 200 });
    },
  };
}
