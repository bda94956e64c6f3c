import { basename, dirname } from 'node:path';
import type { z } from 'zod';
import { messageOf } from '@berth/shared/domain/errors';
import type { Clock } from './ports.ts';
import type { Disk } from './disk.ts';

/**
 * Replaces a file in one go: whoever reads it, and whatever crashes, sees the old content or the new, never a mixture.
 * Durable when it resolves. Errors: `state_unwritable`; the old file is then still there, untouched.
 */
export async function writeAtomically(disk: Disk, path: string, text: string): Promise<void> {
  const temporary = `${path}.new`;
  try {
    await disk.write(temporary, text);
    await disk.rename(temporary, path);
    await disk.syncDirectory(dirname(path));
  } catch (thrown) {
    await disk.remove(temporary).catch(() => undefined);
    throw thrown;
  }
}

export type Reading<T> =
  | { kind: 'found'; value: T }
  | { kind: 'missing' }
  /** Set aside as `movedTo` (null when even that failed), so that a person can look at it. */
  | { kind: 'quarantined'; path: string; movedTo: string | null; why: string };

/** Reads JSON and checks its shape; what is torn, garbage or of another shape is set aside. */
export async function readChecked<T>(
  disk: Disk,
  clock: Clock,
  path: string,
  schema: z.ZodType<T>,
  verify: (value: T) => string | null = () => null,
): Promise<Reading<T>> {
  let why: string;
  try {
    const text = await disk.read(path);
    if (text === null) return { kind: 'missing' };
    const parsed = schema.safeParse(JSON.parse(text));
    if (parsed.success) {
      const fault = verify(parsed.data);
      if (fault === null) return { kind: 'found', value: parsed.data };
      why = fault;
    } else {
      why = parsed.error.issues[0]?.message ?? 'not of the expected shape';
    }
  } catch (thrown) {
    why = messageOf(thrown);
  }
  return { kind: 'quarantined', path, movedTo: await quarantine(disk, clock, path), why };
}

/** Renames a file to `<name>.corrupt-<ms>`; null when it could not be renamed. */
export async function quarantine(disk: Disk, clock: Clock, path: string): Promise<string | null> {
  const target = `${path}.corrupt-${clock.now()}`;
  try {
    await disk.rename(path, target);
    return basename(target);
  } catch {
    return null;
  }
}
