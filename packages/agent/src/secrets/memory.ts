import { statfsSync, statSync } from 'node:fs';
import { chmod, chown, mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { BerthError, messageOf } from '@berth/shared/domain/errors';
import { runChecked } from '../system/command.ts';
import type { SecretSet } from './sets.ts';

const TMPFS_MAGIC = 0x01021994;
/** A value is 64 KB at most, and a file takes a page at least. */
const SIZE = '256m';

/** A file system in memory of the agent's own, which only root may enter: where values lie open, for containers. */
export interface SecretMemory {
  readonly dir: string;
  isMounted(): boolean;
  /** Mounts it when it is not. Errors: `secret_unavailable` when this host does not allow it. */
  prepare(signal?: AbortSignal): Promise<void>;
  has(tenant: string, set: string): boolean;
  /** Where a set's directory is. */
  pathOf(tenant: string, set: string): string;
  /** Puts all files of a set there in one go. Errors: `secret_unavailable` when it is not in memory. */
  put(set: SecretSet, valueOf: (file: SecretSet['files'][number]) => Buffer): Promise<void>;
  remove(tenant: string, set: string): Promise<void>;
  forget(tenant: string): Promise<void>;
  sets(tenant: string): Promise<string[]>;
}

export function createSecretMemory(dir: string): SecretMemory {
  const pathOf = (tenant: string, set: string): string => join(dir, tenant, set);

  function isMounted(): boolean {
    try {
      return statfsSync(dir).type === TMPFS_MAGIC && statSync(dir).dev !== statSync(dirname(dir)).dev;
    } catch {
      return false;
    }
  }

  async function mount(signal?: AbortSignal): Promise<void> {
    const options = `size=${SIZE},mode=0700,nosuid,nodev,noexec`;
    const of = ['-t', 'tmpfs', 'berth-secrets', dir];
    try {
      // Linux 6.4 and later never write such a file system to swap.
      await runChecked('mount', [...of, '-o', `${options},noswap`], { signal });
    } catch {
      await runChecked('mount', [...of, '-o', options], { signal });
    }
  }

  return {
    dir,
    isMounted,
    pathOf,
    async prepare(signal) {
      if (isMounted()) return;
      try {
        await mkdir(dir, { recursive: true, mode: 0o700 });
        await mount(signal);
      } catch (cause) {
        throw notInMemory(dir, messageOf(cause), cause);
      }
      if (!isMounted()) throw notInMemory(dir, 'it was mounted and is no tmpfs');
    },
    has: (tenant, set) =>
      isMounted() && statSync(pathOf(tenant, set), { throwIfNoEntry: false }) !== undefined,
    async put(set, valueOf) {
      // A value that is written where there is no mount would lie on the disk.
      if (!isMounted()) throw notInMemory(dir, 'nothing is mounted there');
      const path = pathOf(set.tenant, set.set);
      const fresh = `${path}.new`;
      await rm(fresh, { recursive: true, force: true });
      try {
        await makeOpen(join(dir, set.tenant));
        await makeOpen(fresh);
        await makeOpen(join(fresh, 'files'));
        for (const file of set.files) {
          const target = join(fresh, file.path);
          await makeParents(fresh, dirname(file.path));
          await writeFile(target, valueOf(file), { mode: 0o600, flag: 'wx' });
          await chown(target, file.uid, file.gid);
          await chmod(target, Number.parseInt(file.mode, 8));
        }
        await rm(path, { recursive: true, force: true });
        await rename(fresh, path);
      } catch (cause) {
        await rm(fresh, { recursive: true, force: true }).catch(() => undefined);
        throw new BerthError(
          'secret_unavailable',
          `The secrets of ${set.service} of tenant ${set.tenant} could not be put into memory at ${dir}: ${messageOf(cause)}.`,
          { cause },
        );
      }
    },
    remove: (tenant, set) => rm(pathOf(tenant, set), { recursive: true, force: true }),
    forget: (tenant) => rm(join(dir, tenant), { recursive: true, force: true }),
    async sets(tenant) {
      try {
        return await readdir(join(dir, tenant));
      } catch {
        return [];
      }
    },
  };
}

/** A container's user, whoever that is, must be able to look into what is mounted; the way there stays root's. */
async function makeOpen(path: string): Promise<void> {
  await mkdir(path, { recursive: true });
  await chmod(path, 0o755);
}

async function makeParents(base: string, below: string): Promise<void> {
  let path = base;
  for (const part of below.split('/')) {
    path = join(path, part);
    await makeOpen(path);
  }
}

function notInMemory(dir: string, why: string, cause?: unknown): BerthError {
  return new BerthError(
    'secret_unavailable',
    `Secrets are only ever put into memory, and ${dir} is not: ${why}. Start berth-secrets.service on that host, or let the agent mount it; then it goes on by itself.`,
    { cause },
  );
}
