import { execFile, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** A machine beyond the host that answers `beyond` to HTTP on port 8080 of each of its addresses. */
export interface Beyond {
  /** Its network namespace. */
  space: string;
  internet: string;
  /** In a private range, like a database of the VPC. */
  privately: string;
  /** Link-local, like the metadata service. */
  metadata: string;
  close(): Promise<void>;
}

/** Made of a network namespace; `name` is that of a test host's agent. */
export async function createBeyond(name: string): Promise<Beyond> {
  const number = Number.parseInt(name.slice(2), 16);
  const [space, here, there] = [`b${name}`, `b${name}h`, `b${name}t`];
  const mine = `192.0.2.${200 + number}`;
  const internet = `198.51.100.${10 + number}`;
  const privately = `172.31.255.${10 + number}`;
  const metadata = `169.254.77.${10 + number}`;
  const addresses = [internet, privately, metadata];
  const folder = await mkdtemp(join(tmpdir(), 'berth-beyond-'));
  const close = async (): Promise<void> => {
    await rm(folder, { recursive: true, force: true });
    await run('ip', ['netns', 'pids', space])
      .then(({ stdout }) => {
        for (const pid of stdout.split(/\s+/)) if (Number(pid) > 1) process.kill(Number(pid), 'SIGKILL');
      })
      .catch(() => {});
    await run('ip', ['link', 'del', here]).catch(() => {});
    await run('ip', ['netns', 'del', space]).catch(() => {});
  };
  try {
    await run('ip', ['netns', 'add', space]);
    await run('ip', ['link', 'add', here, 'type', 'veth', 'peer', 'name', there, 'netns', space]);
    await run('ip', ['addr', 'add', `${mine}/32`, 'dev', here]);
    await run('ip', ['link', 'set', here, 'up']);
    const inside = (...args: string[]): Promise<unknown> => run('ip', ['-n', space, ...args]);
    await inside('link', 'set', 'lo', 'up');
    await inside('link', 'set', there, 'up');
    for (const address of addresses) await inside('addr', 'add', `${address}/32`, 'dev', there);
    await inside('route', 'add', `${mine}/32`, 'dev', there);
    for (const address of addresses)
      await run('ip', ['route', 'add', `${address}/32`, 'dev', here, 'src', mine]);
    const busybox = process.env['BERTH_BUSYBOX'] || '/usr/bin/busybox';
    await writeFile(`${folder}/index.html`, 'beyond\n');
    spawn('ip', ['netns', 'exec', space, busybox, 'httpd', '-f', '-p', '8080', '-h', folder], {
      stdio: 'ignore',
    });
    for (let round = 0; round < 50 && !(await answers(internet)); round += 1) await sleep(50);
  } catch (thrown) {
    await close();
    throw thrown;
  }
  return { space, internet, privately, metadata, close };
}

async function answers(address: string): Promise<boolean> {
  return await new Promise((resolve) => {
    const socket = connect({ host: address, port: 8080, timeout: 1_000 });
    const end = (yes: boolean): void => {
      socket.destroy();
      resolve(yes);
    };
    socket.on('connect', () => end(true));
    socket.on('error', () => end(false));
    socket.on('timeout', () => end(false));
  });
}
