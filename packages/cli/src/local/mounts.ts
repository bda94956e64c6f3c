import { readFileSync } from 'node:fs';
import { run } from './command.ts';

/** File systems of which the path begins like this, the innermost first. */
export function mountsBelow(beginning: string): string[] {
  return readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .flatMap((line) => line.split(' ')[1] ?? [])
    .map((path) =>
      path.replace(/\\([0-7]{3})/g, (_all, octal: string) => String.fromCharCode(Number.parseInt(octal, 8))),
    )
    .filter((path) => path.startsWith(beginning))
    .reverse();
}

/** Takes them away, also from under whoever still has a file open there. Errors: `umount`'s own words. */
export async function unmountBelow(beginning: string): Promise<string[]> {
  const mounts = mountsBelow(beginning);
  for (const path of mounts) {
    const { code, stderr } = await run('umount', ['-l', path]);
    if (code !== 0) throw new Error(`umount ${path}: ${stderr.trim()}`);
  }
  return mounts;
}
