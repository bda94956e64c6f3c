import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { z } from 'zod';
import { TrafficSample } from '@berth/shared/domain/traffic';

/** How far the log was read, and what came of it until there: one can go on from the two together, exactly. */
export const Checkpoint = z.strictObject({
  run: z.number(),
  /** The log that was read; another file begins at its beginning. */
  inode: z.number().nullable(),
  offset: z.int().min(0),
  readAt: z.number(),
  samples: z.array(TrafficSample),
  switches: z.array(
    z.strictObject({
      tenant: z.string(),
      generation: z.int().nullable(),
      since: z.number(),
      clear: z.number().optional(),
      watched: z.boolean(),
    }),
  ),
});
export type Checkpoint = z.infer<typeof Checkpoint>;

/** Null when there is none, or none that can be read. */
export function readCheckpoint(path: string): Checkpoint | null {
  try {
    const parsed: unknown = JSON.parse(readFileSync(path, 'utf8'));
    return Checkpoint.parse(parsed);
  } catch {
    return null;
  }
}

/** All of it or nothing. It lies in memory, where a write waits for no disk. Errors: ENOSPC when there is no room. */
export function writeCheckpoint(path: string, checkpoint: Checkpoint): void {
  writeFileSync(`${path}.new`, JSON.stringify(checkpoint), { mode: 0o600 });
  renameSync(`${path}.new`, path);
}
