import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Environment } from '../config.ts';
import type { Home } from './home.ts';

/** The commands that start and remove a local instance, whole. */
export interface Verbs {
  start: 'berth up' | 'npm start';
  remove: 'berth down' | 'npm stop';
}

const BERTH: Verbs = { start: 'berth up', remove: 'berth down' };
const NPM: Verbs = { start: 'npm start', remove: 'npm stop' };

/**
 * Under `npm start` it is `npm stop` that removes everything: it also ends the Docker daemon that `npm start` began when
 * none answered, of which the command line knows nothing more than that its record is there.
 */
export function verbsOf(env: Environment, home: Pick<Home, 'dir'>): Verbs {
  return env['BERTH_STARTED_BY'] === 'npm' || hasOwnDocker(home) ? NPM : BERTH;
}

/** Whether `npm start` runs a Docker daemon of its own for this home. */
export function hasOwnDocker(home: Pick<Home, 'dir'>): boolean {
  return existsSync(join(home.dir, 'docker', 'daemon.json'));
}
