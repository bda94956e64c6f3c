import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type Docker from 'dockerode';
import { dockerAt } from './docker.ts';
import { run, start, tailOf, type Running } from './processes.ts';
import type { Slice } from './slices.ts';

/**
 * Something like a machine of its own: a network namespace with its own Docker daemon, nft tables and routes, so that a
 * test may flush, stop and reboot all of it without harm to anything else.
 */
export interface Machine {
  readonly socket: string;
  readonly docker: Docker;
  /** Put before a program to run it there. */
  readonly inside: readonly string[];
  /** This side of the cable: where the coordinator listens. */
  readonly outsideAddress: string;
  /** The machine's side. */
  readonly address: string;
  /** Runs a program there and resolves to its output. */
  run(program: string, ...args: string[]): Promise<string>;
  /** Kills every process there of which the command line begins like this; containers are elsewhere. */
  killAll(beginning: string): Promise<void>;
  startDocker(): Promise<void>;
  stopDocker(signal?: NodeJS.Signals): Promise<void>;
  close(): Promise<void>;
}

/** Makes a machine for a slice; what a killed run left of an earlier one is cleared away first. */
export async function makeMachine(slice: Slice): Promise<Machine> {
  const name = `berth-${slice.agent}`;
  const runDir = `/run/${name}`;
  const dataDir = `${slice.statePrefix}docker`;
  const socket = join(runDir, 'docker.sock');
  const logFile = join(dataDir, 'dockerd.log');
  const inside = ['nsenter', `--net=/run/netns/${name}`];
  // Not named like a tenant's bridge, or the agent's own rules would refuse what comes through it.
  const [cable, far] = [`${slice.agent}o`, `${slice.agent}i`];
  const outsideAddress = `169.254.${200 + slice.number}.1`;
  const address = `169.254.${200 + slice.number}.2`;
  let dockerd: Running | null = null;

  async function pidsInside(): Promise<number[]> {
    const { stdout } = await run('ip', ['netns', 'pids', name]).catch(() => ({ stdout: '' }));
    return stdout.split('\n').flatMap((line) => (line === '' ? [] : [Number(line)]));
  }

  async function clear(): Promise<void> {
    // Whatever runs in the namespace was started by us: nobody else knows its name.
    for (const pid of await pidsInside()) endPid(pid);
    await run('ip', ['netns', 'del', name]).catch(() => undefined);
    await run('ip', ['link', 'del', cable]).catch(() => undefined);
    for (const path of mountsBelow([dataDir, runDir]))
      await run('umount', ['-l', path]).catch(() => undefined);
    for (const path of [dataDir, runDir]) rmSync(path, { recursive: true, force: true, maxRetries: 5 });
  }

  await clear();
  mkdirSync(dataDir, { recursive: true });
  mkdirSync(runDir, { recursive: true, mode: 0o711 });
  await run('ip', ['netns', 'add', name]);
  await run('ip', ['link', 'add', cable, 'type', 'veth', 'peer', 'name', far, 'netns', name]);
  await run('ip', ['addr', 'add', `${outsideAddress}/30`, 'dev', cable]);
  await run('ip', ['link', 'set', cable, 'up']);

  const machine: Machine = {
    socket,
    docker: dockerAt(socket),
    inside,
    outsideAddress,
    address,
    async run(program, ...args) {
      const [first = '', ...rest] = inside;
      return (await run(first, [...rest, program, ...args])).stdout;
    },
    async killAll(beginning) {
      for (const pid of await pidsInside()) if (titleOf(pid).startsWith(beginning)) endPid(pid);
    },
    async startDocker() {
      const [first = '', ...rest] = inside;
      rmSync(join(runDir, 'dockerd.pid'), { force: true });
      forgetDead(join(runDir, 'exec', 'containerd', 'containerd.pid'));
      dockerd = start(
        [
          first,
          ...rest,
          'dockerd',
          '--data-root',
          join(dataDir, 'data'),
          '--exec-root',
          join(runDir, 'exec'),
          '--pidfile',
          join(runDir, 'dockerd.pid'),
          '--host',
          `unix://${socket}`,
          '--bridge=none',
        ],
        { logFile },
      );
      for (let round = 0; round < 600; round += 1) {
        if (dockerd.state() === 'ended') break;
        if (
          existsSync(socket) &&
          (await machine.docker.ping().then(
            () => true,
            () => false,
          ))
        )
          return;
        await sleep(50);
      }
      throw new Error(`dockerd did not come up:\n${tailOf(logFile)}`);
    },
    async stopDocker(signal = 'SIGTERM') {
      await dockerd?.kill(signal);
      dockerd = null;
    },
    async close() {
      await machine.stopDocker();
      await clear();
    },
  };
  await machine.run('ip', 'link', 'set', 'lo', 'up');
  await machine.run('ip', 'addr', 'add', `${address}/30`, 'dev', far);
  await machine.run('ip', 'link', 'set', far, 'up');
  return machine;
}

/** dockerd waits 15 s in vain for a containerd that was killed with it and that nobody has buried. */
function forgetDead(pidFile: string): void {
  if (!existsSync(pidFile)) return;
  const pid = Number(readFileSync(pidFile, 'utf8').trim());
  if (!titleOf(pid).includes('containerd')) rmSync(pidFile);
}

function titleOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
  } catch {
    return ''; // it has ended
  }
}

function endPid(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended.
  }
}

function mountsBelow(dirs: readonly string[]): string[] {
  return readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .flatMap((line) => line.split(' ')[1] ?? [])
    .filter((path) => dirs.some((dir) => path.startsWith(`${dir}/`)))
    .reverse();
}
