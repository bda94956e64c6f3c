import { mkdirSync, readFileSync, renameSync, statfsSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { messageOf } from '@berth/shared/domain/errors';
import { runChecked } from '../system/command.ts';
import { REQUESTS_FORMAT } from '../system/nginx.ts';
import { FLUSH_MS } from './owners.ts';

/** Seconds of the heaviest load, hours of an ordinary one: what may wait while no agent reads. */
const SIZE = '32m';
const TMPFS_MAGIC = 0x01021994;
const PAGE = 4096;

/**
 * Nginx includes this file when it is there. It lies in memory like the log itself, so Nginx never logs to a disk, and
 * after a reboot, or without the mount, it starts and serves as if there were nothing to count.
 */
const ACCESS = `access_log requests/requests.log ${REQUESTS_FORMAT} buffer=64k flush=${FLUSH_MS / 1000}s;\n`;

/** A small file system in memory, below Nginx's directory: a log that nobody reads can never fill a disk. */
export interface RequestsFolder {
  readonly log: string;
  readonly checkpoint: string;
  /** Mounts it when it is not, and asks for the log. Errors: `internal` and others when this host does not allow it. */
  prepare(signal?: AbortSignal): Promise<void>;
  /** Since when Nginx has had no room for lines, milliseconds since 1970; null when it has some. */
  fullSince(): number | null;
  /** Gives the memory of the log's first `end` bytes back. Its length stays, so nobody who writes need be told. */
  release(end: number, signal?: AbortSignal): Promise<void>;
}

export function requestsFolder(dir: string): RequestsFolder {
  const log = join(dir, 'requests.log');
  let released = 0;
  return {
    log,
    checkpoint: join(dir, 'checkpoint.json'),
    async prepare(signal) {
      mkdirSync(dir, { recursive: true });
      if (!isMounted(dir)) {
        const options = `size=${SIZE},mode=0755,nosuid,nodev,noexec`;
        await runChecked('mount', ['-t', 'tmpfs', '-o', options, 'berth-requests', dir], { signal });
      }
      if (!isMounted(dir)) throw new Error(`${dir} was mounted and is no tmpfs`);
      const file = join(dir, 'access.conf');
      if (textOf(file) === ACCESS) return;
      writeFileSync(`${file}.new`, ACCESS, { mode: 0o644 });
      renameSync(`${file}.new`, file);
    },
    fullSince() {
      const { bavail, bsize } = statfsSync(dir);
      if (bavail * bsize >= 64 * 1024) return null;
      return statSync(log, { throwIfNoEntry: false })?.mtimeMs ?? null;
    },
    async release(end, signal) {
      const upTo = end - (end % PAGE);
      if (upTo < released) released = 0;
      if (upTo === released) return;
      const range = ['--offset', String(released), '--length', String(upTo - released)];
      await runChecked('fallocate', ['--punch-hole', ...range, log], { signal });
      released = upTo;
    },
  };
}

/** A directory of that kind that begins a file system. */
function isMounted(dir: string): boolean {
  return statfsSync(dir).type === TMPFS_MAGIC && statSync(dir).dev !== statSync(dirname(dir)).dev;
}

function textOf(file: string): string | null {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return null;
  }
}

/** For a person: why nothing is counted. */
export function whyNot(thrown: unknown): string {
  return `Requests are not counted, because the folder for them could not be mounted: ${messageOf(thrown)}`;
}
