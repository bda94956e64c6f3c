import { join } from 'node:path';
import type { Clock } from './ports.ts';
import type { Disk } from './disk.ts';

/** Who the host was and what was desired of it. The rest of the directory is rebuilt from that. */
const OF_ONE_HOST = ['identity.json', 'head.json', 'desired', 'status'];

/**
 * Moves everything that belongs to another host's identity out of the way, into `<dir>/of-<name>-<ms>`, where a person
 * can look at it. Before the state is opened. The identity goes first: what is left after a crash belongs to nobody.
 */
export async function setAside(directory: string, name: string, disk: Disk, clock: Clock): Promise<string> {
  const target = join(directory, `of-${name}-${clock.now()}`);
  await disk.makeDirectory(target);
  const present = new Set(await disk.list(directory));
  for (const entry of OF_ONE_HOST)
    if (present.has(entry)) await disk.rename(join(directory, entry), join(target, entry));
  await disk.syncDirectory(target);
  await disk.syncDirectory(directory);
  return target;
}
