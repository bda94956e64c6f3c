import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';

export type Daemon = 'coordinator' | 'agent';

/** Where the built programs lie: beside this one, or below the clone's root when run from source. */
export function distDir(): string {
  const here = import.meta.dirname;
  if (existsSync(join(here, 'cli.js'))) return here;
  // packages/cli/src/local -> the clone's root
  return join(here, '..', '..', '..', '..', 'dist');
}

export function daemonScript(daemon: Daemon): string {
  return join(distDir(), `${daemon}.js`);
}

/** The clone's root, where examples/ lies. */
export function rootDir(): string {
  return dirname(distDir());
}

/**
 * Node's own options for a daemon, the same as in its systemd unit. Ten thousand agents that come back at once would make
 * the coordinator's young generation grow to 48 MB, which it then keeps; with this it stays at 12 MB. An agent is idle
 * nearly always, so it trades speed for memory, and does without V8's own threads: each keeps a heap of the C library's.
 */
export function daemonFlags(daemon: Daemon): readonly string[] {
  return daemon === 'coordinator'
    ? ['--max-semi-space-size=8']
    : ['--max-semi-space-size=1', '--optimize-for-size', '--v8-pool-size=0'];
}

/** Settings for the C library, as in its unit: with one heap for all threads an idle agent keeps 3 MB less. */
export function daemonLibc(daemon: Daemon): Readonly<Record<string, string>> {
  return daemon === 'agent' ? { MALLOC_ARENA_MAX: '1' } : {};
}
