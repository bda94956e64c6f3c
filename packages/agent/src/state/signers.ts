import { join } from 'node:path';
import { z } from 'zod';
import { digestOf } from '@berth/shared/domain/digest';
import { SignedSigners } from '@berth/shared/domain/signers';
import type { Disk } from './disk.ts';
import { readChecked, writeAtomically } from './files.ts';
import type { Clock } from './ports.ts';

/** Which statement of its pool's signers this host has pinned. */
export interface SignersStore {
  current(): SignedSigners | null;
  /** In force at once, and durable when it resolves. Errors: `state_unwritable`; only a restart would forget it then. */
  pin(statement: SignedSigners): Promise<void>;
}

const SignersFile = z.strictObject({ sum: z.string(), pinned: SignedSigners });

export const SIGNERS_NAME = 'signers.json';

/** What cannot be read is set aside, and the host pins anew what it is given first. */
export async function openSigners(
  directory: string,
  disk: Disk,
  clock: Clock,
): Promise<{ signers: SignersStore; quarantined: string[] }> {
  const path = join(directory, SIGNERS_NAME);
  const reading = await readChecked(disk, clock, path, SignersFile, ({ sum, pinned }) =>
    digestOf(pinned) === sum ? null : 'checksum and content do not agree',
  );
  let current = reading.kind === 'found' ? reading.value.pinned : null;
  return {
    quarantined: reading.kind === 'quarantined' ? [path] : [],
    signers: {
      current: () => current,
      async pin(pinned) {
        current = pinned;
        await writeAtomically(disk, path, `${JSON.stringify({ sum: digestOf(pinned), pinned })}\n`);
      },
    },
  };
}
