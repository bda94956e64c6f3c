import { join } from 'node:path';
import type { Clock } from './ports.ts';
import type { Disk } from './disk.ts';
import { SIGNERS_NAME } from './signers.ts';

/** Who the host was and what was desired of it. The rest of the directory is rebuilt from that. */
const OF_ONE_HOST = ['identity.json', 'head.json', 'desired', 'status', SIGNERS_NAME];
/** Its sealed secrets and the key to them lie here, beside a mount of memory that cannot be moved. */
const SECRETS = 'secrets';
const MOUNT = 'open';

/**
 * Moves everything that belongs to another host's identity out of the way, into `<dir>/of-<name>-<ms>`, where a person
 * can look at it. Before the state is opened. The identity goes last: after a crash half way all of it is done again.
 */
export async function setAside(directory: string, name: string, disk: Disk, clock: Clock): Promise<string> {
  const target = join(directory, `of-${name}-${clock.now()}`);
  await disk.makeDirectory(target);
  const sealed = (await disk.list(join(directory, SECRETS))).filter((entry) => entry !== MOUNT);
  if (sealed.length > 0) {
    await disk.makeDirectory(join(target, SECRETS));
    for (const entry of sealed)
      await disk.rename(join(directory, SECRETS, entry), join(target, SECRETS, entry));
  }
  const present = new Set(await disk.list(directory));
  for (const entry of OF_ONE_HOST.toReversed())
    if (present.has(entry)) await disk.rename(join(directory, entry), join(target, entry));
  await disk.syncDirectory(target);
  await disk.syncDirectory(directory);
  return target;
}
