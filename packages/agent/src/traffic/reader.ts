import { closeSync, openSync, readSync, statSync } from 'node:fs';
import { setImmediate as breathe } from 'node:timers/promises';
import { countLines, type Tally } from './lines.ts';

const CHUNK_BYTES = 128 * 1024;
/** So many chunks take a few milliseconds; then others have their turn. */
const CHUNKS_IN_A_ROW = 8;

export interface LogPosition {
  inode: number | null;
  offset: number;
}

/** Behind all that is there now. */
export function endOfLog(path: string): LogPosition {
  const seen = statSync(path, { throwIfNoEntry: false });
  return { inode: seen?.ino ?? null, offset: seen?.size ?? 0 };
}

/**
 * Counts what has been added to the log since the position, and moves it on, line by whole line: tally and position
 * always belong together. A log that was replaced or cut is read from its beginning.
 *
 * The calls wait: the file lies in memory, and a trip to a thread costs more than the copy.
 */
export async function readLog(path: string, position: LogPosition, tally: Tally): Promise<void> {
  const seen = statSync(path, { throwIfNoEntry: false });
  if (seen === undefined) return;
  if (seen.ino !== position.inode || seen.size < position.offset) {
    position.inode = seen.ino;
    position.offset = 0;
  }
  const unread = seen.size - position.offset;
  if (unread === 0) return;
  const buffer = Buffer.allocUnsafe(Math.min(unread, CHUNK_BYTES));
  const handle = openSync(path, 'r');
  try {
    for (let chunk = 1; position.offset < seen.size; chunk += 1) {
      const wanted = Math.min(buffer.length, seen.size - position.offset);
      const got = readSync(handle, buffer, 0, wanted, position.offset);
      const counted = countLines(buffer, got, tally);
      if (counted > 0) position.offset += counted;
      else if (got === CHUNK_BYTES) {
        // No line is so long: memory that was given back, or damage.
        tally.torn += 1;
        position.offset += got;
      } else break;
      if (chunk % CHUNKS_IN_A_ROW === 0) await breathe();
    }
  } finally {
    closeSync(handle);
  }
}
