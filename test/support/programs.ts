import { existsSync } from 'node:fs';
import { join } from 'node:path';

/** The bundle of one of our programs, as it is shipped. */
export function program(name: 'agent' | 'coordinator'): string {
  const file = join(import.meta.dirname, '..', '..', 'dist', `${name}.js`);
  if (!existsSync(file)) throw new Error(`${file} is not built; npm test builds it first`);
  return file;
}
