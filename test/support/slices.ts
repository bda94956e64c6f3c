import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mountsBelow, unmountBelow } from '@berth/cli/local/mounts';
import { isFree, slicesAt, usesOf } from '@berth/cli/local/ranges';
import { removeAllOf, dockerAt, sharedSocket } from './docker.ts';
import { run } from './processes.ts';

/** One agent's share of this machine: nobody else's while it is held. */
export interface Slice {
  number: number;
  /** Name of the agent, and all that is made of it: labels, tables, bridges. */
  agent: string;
  virtualCidr: string;
  tenantCidr: string;
  httpPort: number;
  internalPort: number;
  /** Directories of this slice's agent begin with it. */
  statePrefix: string;
  /** Takes away whatever the agent left on the machine. */
  wipe(): Promise<void>;
  free(): void;
}

/** The integration tests cut theirs from the second. */
const OTHERS: readonly number[] = [1];

/**
 * Takes a slice that nobody holds and nobody uses. It belongs to whoever holds its abstract socket: the kernel gives it
 * back when the process ends, and the next holder clears away what a killed run left there.
 */
export async function claimSlice(): Promise<Slice> {
  for (let number = 15; number >= 0; number -= 1) {
    if (OTHERS.includes(number)) continue;
    const held = await hold(`\0berth-fault-slice-${number}`);
    if (held === null) continue;
    const slice = sliceAt(number, () => held.close());
    await slice.wipe();
    forgetDirectories(slice.statePrefix);
    if (await nobodyUses(slice)) return slice;
    slice.free();
  }
  throw new Error('all address slices for tests are in use on this machine');
}

/** What a killed run left below the temporary directory; a daemon's data is cleared away by who makes the next one. */
function forgetDirectories(prefix: string): void {
  for (const name of readdirSync(tmpdir())) {
    const path = join(tmpdir(), name);
    if (!path.startsWith(prefix) || path === `${prefix}docker`) continue;
    try {
      rmSync(path, { recursive: true, force: true });
    } catch {
      // Something is still mounted there.
    }
  }
}

function sliceAt(number: number, free: () => void): Slice {
  const agent = `zt${number.toString(16)}`;
  const statePrefix = join(tmpdir(), `berth-fault-${agent}-`);
  const ranges = slicesAt(number);
  return {
    number,
    agent,
    ...ranges,
    httpPort: 24_000 + number * 4,
    internalPort: 24_001 + number * 4,
    statePrefix,
    free,
    async wipe() {
      endNginx(statePrefix);
      await unmountOf(statePrefix);
      await removeAllOf(dockerAt(sharedSocket()), agent);
      await run('nft', ['delete', 'table', 'inet', `berth_${agent}`]).catch(() => undefined);
      await run('ip', ['route', 'del', 'local', ranges.virtualCidr, 'dev', 'lo']).catch(() => undefined);
      await run('ip', ['route', 'del', 'unreachable', ranges.tenantCidr, 'metric', '4096']).catch(
        () => undefined,
      );
    },
  };
}

/** Where its Nginx counts requests, and where secrets lie open; a test's own mounts are its own to take away. */
async function unmountOf(prefix: string): Promise<void> {
  for (const path of mountsBelow(prefix))
    if (/\/(nginx\/requests|secrets\/open)$/.test(path)) await unmountBelow(path);
}

async function nobodyUses(slice: Slice): Promise<boolean> {
  const ask = async (...args: string[]): Promise<unknown> => {
    const { stdout } = await run('ip', ['-j', '-4', ...args]);
    return JSON.parse(stdout === '' ? '[]' : stdout);
  };
  const uses = usesOf(await ask('route', 'show', 'table', 'all'), await ask('addr'));
  return isFree(slice.virtualCidr, uses) && isFree(slice.tenantCidr, uses);
}

function hold(path: string): Promise<Server | null> {
  return new Promise((resolve) => {
    const server = createServer();
    server.on('error', () => resolve(null));
    server.listen(path, () => resolve(server.unref()));
  });
}

/** Pids of the Nginx masters whose prefix directory begins like this. */
export function nginxMasters(prefix: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      const title = commandLine(pid);
      return title.startsWith('nginx: master process') && title.includes(` -p ${prefix}`);
    });
}

function endNginx(prefix: string): void {
  for (const pid of nginxMasters(prefix)) process.kill(pid, 'SIGTERM');
}

function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
  } catch {
    return ''; // it has ended
  }
}
