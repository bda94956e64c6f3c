import { buildAll } from '../build/bundle.mjs';
import { ensureDependencies } from './dependencies.mjs';
import { elevate } from './elevate.mjs';
import { ensureSystem } from './system.mjs';
import { ensureToolchain } from './toolchain.mjs';

/**
 * From a fresh clone to something that can run: tools, packages, the build, and the system's parts.
 * @param {{why: string, system: 'run' | 'test' | 'bench', built?: () => Promise<number | undefined>}} options `why`
 *   begins the sentence that asks for root; `built` may end it all with an exit code before the system is touched
 * @returns {Promise<number | undefined>} the exit code, when there is nothing more to do: `built` said so, or a second
 *   copy under sudo has done the whole job
 */
export async function prepare({ why, system, built }) {
  await ensureToolchain();
  await ensureDependencies();
  await buildAll();
  const ended = await built?.();
  if (ended !== undefined) return ended;
  const finished = await elevate(why);
  if (finished !== undefined) return finished;
  await ensureSystem(system);
  return undefined;
}
