import { constants } from 'node:fs';
import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { BerthError } from '@berth/shared/domain/errors';

/** The few things that state does to a disk; tests put one in its place that dies at every step. */
export interface Disk {
  /** Makes a directory and those above it, readable by the owner only. */
  makeDirectory(path: string): Promise<void>;
  /** Names in a directory; none when it does not exist. */
  list(path: string): Promise<string[]>;
  /** The file's text; null when there is none. */
  read(path: string): Promise<string | null>;
  /** Writes the whole file and waits until its content is on the disk. Not atomic: a crash leaves a torn file. */
  write(path: string, text: string): Promise<void>;
  /** Atomic. */
  rename(from: string, to: string): Promise<void>;
  remove(path: string): Promise<void>;
  /** Waits until names that came, went or changed in this directory are on the disk. */
  syncDirectory(path: string): Promise<void>;
}

const codeOf = (thrown: unknown): string =>
  thrown instanceof Error && 'code' in thrown && typeof thrown.code === 'string' ? thrown.code : '';

export const realDisk: Disk = {
  async makeDirectory(path) {
    await guard(path, () => mkdir(path, { recursive: true, mode: 0o700 }));
  },
  async list(path) {
    try {
      return await readdir(path);
    } catch (thrown) {
      if (codeOf(thrown) === 'ENOENT') return [];
      throw thrown;
    }
  },
  async read(path) {
    try {
      return await readFile(path, 'utf8');
    } catch (thrown) {
      if (codeOf(thrown) === 'ENOENT') return null;
      throw thrown;
    }
  },
  async write(path, text) {
    await guard(path, async () => {
      const file = await open(path, constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC, 0o600);
      try {
        await file.writeFile(text);
        await file.datasync();
      } finally {
        await file.close();
      }
    });
  },
  async rename(from, to) {
    await guard(to, () => rename(from, to));
  },
  async remove(path) {
    await guard(path, () => rm(path, { force: true }));
  },
  async syncDirectory(path) {
    await guard(path, async () => {
      const directory = await open(path, constants.O_RDONLY);
      try {
        await directory.sync();
      } finally {
        await directory.close();
      }
    });
  },
};

const ADVICE: Readonly<Record<string, string>> = {
  ENOSPC: 'the disk is full; free some space there',
  EDQUOT: 'the disk quota is used up; raise it or free some space there',
  EROFS: 'the filesystem is mounted read-only; mount it writable',
  EACCES: 'permission is denied; the agent must own this directory',
  EPERM: 'permission is denied; the agent must own this directory',
  EIO: 'the disk reports an error; check the disk',
};

/** Turns a failed write into a `state_unwritable` that says what, where and what to do. */
async function guard<T>(path: string, write: () => Promise<T>): Promise<T> {
  try {
    return await write();
  } catch (cause) {
    throw unwritable(path, cause);
  }
}

/** A `state_unwritable` for this path. The agent goes on with what was written before. */
export function unwritable(path: string, cause: unknown): BerthError {
  if (cause instanceof BerthError) return cause;
  const code = codeOf(cause);
  const advice =
    ADVICE[code] ?? `the system says ${code === '' ? String(cause) : code}; check ${dirname(path)}`;
  return new BerthError(
    'state_unwritable',
    `Could not write ${path}: ${advice}. The agent keeps the state it had and tries again.`,
    { cause, details: { path, code } },
  );
}
