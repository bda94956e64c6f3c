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
