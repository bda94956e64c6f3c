import { createHash } from 'node:crypto';
import { realpathSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The clone's root directory, absolute, symlinks resolved. */
export const root = realpathSync(join(dirname(fileURLToPath(import.meta.url)), '..', '..'));

/**
 * Where everything that a run makes lives: state, Docker's data, logs. `BERTH_HOME` moves it, so that two runs of one
 * clone never meet. The tools themselves (below) belong to the clone and are shared by its runs.
 */
export const home = resolve(process.env.BERTH_HOME || join(root, '.berth'));

export const toolchainDir = join(root, '.berth', 'toolchain');
export const distDir = join(root, 'dist');

/** Eight hex digits that stand for this BERTH_HOME in names of bridges, images and runtime directories. */
export const instance = createHash('sha256').update(home).digest('hex').slice(0, 8);
