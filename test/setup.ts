import { fileURLToPath } from 'node:url';
import { run } from './support/processes.ts';

/** Made once before the tests with real parts: the programs, as they are shipped. Quick when nothing has changed. */
export default async function setup(): Promise<void> {
  await run(process.execPath, [fileURLToPath(new URL('../scripts/build.mjs', import.meta.url))]);
}
