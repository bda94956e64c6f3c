import { open, mkdir, readFile, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { BerthError, messageOf } from '@berth/shared/domain/errors';

/** Bytes that are safely on disk beside the file they will replace. */
export interface StagedFile {
  /** Puts them in place; afterwards a power cut cannot bring the old content back. */
  commit(): Promise<void>;
  /** Forgets them. */
  discard(): Promise<void>;
}

/**
 * Writes and fsyncs `content` next to `path` without touching `path`. One writer per path at a time: the name beside it is
 * always the same, so that a crash leaves at most one file behind, and that is overwritten. Throws `state_unwritable`.
 */
export async function stageFile(path: string, content: string, mode = 0o644): Promise<StagedFile> {
  const temporary = `${path}.new`;
  try {
    await mkdir(dirname(path), { recursive: true });
    const handle = await open(temporary, 'w', mode);
    try {
      await handle.writeFile(content);
      await handle.sync();
    } finally {
      await handle.close();
    }
  } catch (cause) {
    await rm(temporary, { force: true }).catch(() => {});
    throw unwritable(path, cause);
  }
  return {
    async commit() {
      try {
        await rename(temporary, path);
        await syncDirectory(dirname(path));
      } catch (cause) {
        throw unwritable(path, cause);
      }
    },
    async discard() {
      await rm(temporary, { force: true });
    },
  };
}

/** Write, fsync, rename, fsync of the directory. Throws `state_unwritable`. */
export async function writeDurably(path: string, content: string, mode = 0o644): Promise<void> {
  const staged = await stageFile(path, content, mode);
  await staged.commit();
}

/** The file's text, or null when there is none. */
export async function readIfThere(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return null;
    throw cause;
  }
}

async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function unwritable(path: string, cause: unknown): BerthError {
  return new BerthError(
    'state_unwritable',
    `${path} could not be written: ${messageOf(cause)}. Free some space or mend the disk; nothing was changed.`,
    { cause },
  );
}
