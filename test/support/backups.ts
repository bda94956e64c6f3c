import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import type { BackupIdentity, ObjectStore, Unfinished } from '@berth/agent/backup/backup';

export const clock = { now: () => Date.now() };

/** A backup of tenant acme with a name of its own. */
export function identity(): BackupIdentity {
  const time = new Date().toISOString().replace(/[-:]/g, '').replace(/\.\d+/, '');
  return {
    backup: `${time}-${randomBytes(4).toString('hex')}`,
    tenant: 'acme',
    app: 'shop',
    release: 3,
    generation: 7,
    reason: 'asked',
  };
}

/** A table `noise` that hardly compresses: half of `megabytes` is what is left of it. */
export function noise(megabytes: number): string {
  return `create table noise as select i as id, md5(random()::text) || md5(random()::text) as body
    from generate_series(1, ${megabytes * 14_000}) i; alter table noise add primary key (id);`;
}

export async function keysIn(store: ObjectStore): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list('shop/acme', new AbortController().signal)) keys.push(key);
  return keys;
}

export async function unfinishedIn(store: ObjectStore): Promise<Unfinished[]> {
  const found: Unfinished[] = [];
  for await (const one of store.unfinished('shop/acme', new AbortController().signal)) found.push(one);
  return found;
}

export interface Process {
  pid: number;
  name: string;
  argv: string;
}

/** The programs that a process has started and that still run. */
export function childrenOf(parent: number): Process[] {
  return readdirSync('/proc').flatMap((pid) => {
    if (!/^\d+$/.test(pid)) return [];
    try {
      const [, name = '', state = '', ppid = ''] =
        /^\d+ \((.*)\) (\S) (\d+)/s.exec(readFileSync(`/proc/${pid}/stat`, 'utf8')) ?? [];
      if (Number(ppid) !== parent || state === 'Z') return [];
      return [{ pid: Number(pid), name, argv: readFileSync(`/proc/${pid}/cmdline`, 'utf8') }];
    } catch {
      return [];
    }
  });
}

export const dumpPrograms = (parent: number): Process[] =>
  childrenOf(parent).filter(({ name }) => name === 'pg_dump' || name === 'zstd' || name === 'pg_restore');
