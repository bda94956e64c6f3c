import { createReadStream } from 'node:fs';
import { mkdir, open, readdir, rename, rm, stat, type FileHandle } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { BerthError, messageOf } from '@berth/shared/domain/errors';
import { z } from 'zod';
import { reasonOf } from '../system/clock.ts';
import type { ObjectStore } from './object-store.ts';

/** Files that are being written end with it. */
const ASIDE = '.part';
/** So much is asked to go to the disk at a time while more comes: all of it at the end would be waited for. */
const FLUSH_BYTES = 32 * 1024 * 1024;
const WRITE_BYTES = 1024 * 1024;
const READ_BYTES = 256 * 1024;

/** A directory on the host. Objects are files; each is written aside, synced and renamed. Directories are 0700. */
export function openDirectoryStore(root: string): ObjectStore {
  const where = `directory ${root}`;
  const placeOf = (key: string): string => {
    if (key.split('/').some((part) => part === '' || part === '.' || part === '..'))
      throw new BerthError('invalid_request', `${JSON.stringify(key)} is no key of a backup.`);
    return join(root, key);
  };
  const failed = (thrown: unknown, what: string): BerthError => directoryError(thrown, `${what} in ${where}`);

  return {
    where,
    async put(key, body, { signal }) {
      const path = placeOf(key);
      const aside = `${path}${ASIDE}`;
      const folder = dirname(path);
      let begun = false;
      try {
        await mkdir(folder, { recursive: true, mode: 0o700 });
        const file = await open(aside, 'wx', 0o600);
        begun = true;
        try {
          await writeAll(file, body, signal);
        } finally {
          await file.close();
        }
        signal.throwIfAborted();
        const { size } = await stat(aside);
        await rename(aside, path);
        await syncFolder(folder);
        return { bytes: size, sha256: null };
      } catch (thrown) {
        if (begun) await rm(aside, { force: true }).catch(() => undefined);
        if (signal.aborted) throw reasonOf(signal);
        throw failed(thrown, 'writing a backup');
      }
    },
    async get(key, { from = 0, signal }) {
      const path = placeOf(key);
      try {
        await stat(path);
      } catch (thrown) {
        throw failed(thrown, `reading ${key}`);
      }
      return createReadStream(path, { start: from, signal, highWaterMark: READ_BYTES });
    },
    async head(key) {
      try {
        return { bytes: (await stat(placeOf(key))).size };
      } catch (thrown) {
        if (codeOf(thrown) === 'ENOENT') return null;
        throw failed(thrown, `looking for ${key}`);
      }
    },
    async *list(under) {
      for (const path of await filesBelow(placeOf(under), failed)) {
        if (path.endsWith(ASIDE)) continue;
        yield { key: relative(root, path), bytes: (await stat(path)).size };
      }
    },
    async *unfinished(under) {
      for (const path of await filesBelow(placeOf(under), failed)) {
        if (!path.endsWith(ASIDE)) continue;
        const key = relative(root, path).slice(0, -ASIDE.length);
        yield { key, upload: path, begunAt: (await stat(path)).birthtimeMs };
      }
    },
    async abandon({ key }) {
      try {
        await rm(`${placeOf(key)}${ASIDE}`, { force: true });
      } catch (thrown) {
        throw failed(thrown, `removing what was left of ${key}`);
      }
    },
    close() {},
  };
}

async function writeAll(file: FileHandle, body: AsyncIterable<Buffer>, signal: AbortSignal): Promise<void> {
  let waiting: Buffer[] = [];
  let size = 0;
  let sinceFlush = 0;
  let flushing: Promise<unknown> = Promise.resolve();
  const write = async (): Promise<void> => {
    let left = size;
    for (const chunks = waiting; left > 0;) {
      const { bytesWritten } = await file.writev(chunks);
      left -= bytesWritten;
      // A full disk may take a part of it, and says so with the next.
      for (let gone = bytesWritten; gone > 0;) {
        const [head] = chunks;
        if (head === undefined) break;
        if (head.length > gone) chunks[0] = head.subarray(gone);
        else chunks.shift();
        gone -= Math.min(head.length, gone);
      }
    }
    sinceFlush += size;
    waiting = [];
    size = 0;
    if (sinceFlush < FLUSH_BYTES) return;
    sinceFlush = 0;
    await flushing;
    flushing = file.datasync();
    flushing.catch(() => undefined);
  };
  for await (const chunk of body) {
    signal.throwIfAborted();
    waiting.push(chunk);
    size += chunk.length;
    if (size >= WRITE_BYTES) await write();
  }
  await write();
  await flushing;
  await file.sync();
}

async function syncFolder(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function filesBelow(
  path: string,
  failed: (thrown: unknown, what: string) => BerthError,
): Promise<string[]> {
  try {
    const found = await readdir(path, { recursive: true, withFileTypes: true });
    return found
      .filter((one) => one.isFile())
      .map((one) => join(one.parentPath, one.name))
      .sort();
  } catch (thrown) {
    if (codeOf(thrown) === 'ENOENT') return [];
    throw failed(thrown, 'listing backups');
  }
}

const Coded = z.object({ code: z.string() });
const codeOf = (thrown: unknown): string => Coded.safeParse(thrown).data?.code ?? '';

function directoryError(thrown: unknown, what: string): BerthError {
  if (thrown instanceof BerthError) return thrown;
  const words = messageOf(thrown);
  switch (codeOf(thrown)) {
    case 'ENOENT':
      return new BerthError('not_found', `There is nothing to be found: ${what}: ${words}.`, {
        cause: thrown,
      });
    case 'ENOSPC':
    case 'EDQUOT':
      return new BerthError(
        'backup_store_refused',
        `No space is left for ${what}: ${words}. Make room, or keep backups elsewhere; nothing of it stays there.`,
        { cause: thrown },
      );
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
    case 'ENOTDIR':
    case 'EEXIST':
      return new BerthError(
        'backup_store_refused',
        `The host does not allow ${what}: ${words}. Check the path and its rights.`,
        { cause: thrown },
      );
    default:
      return new BerthError(
        'backup_store_unavailable',
        `The disk failed at ${what}: ${words}. Check the disk and its mount.`,
        { cause: thrown },
      );
  }
}
