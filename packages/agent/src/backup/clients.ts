import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { BerthError } from '@berth/shared/domain/errors';
import { runCommand } from '../system/command.ts';

/** PostgreSQL's client programs of one version on this host. */
export interface ClientSet {
  /** As `pg_dump --version` says it: `15.8`. */
  version: string;
  major: number;
  pgDump: string;
  pgRestore: string;
}

/** The programs that a backup is made with. */
export interface ClientPrograms {
  postgres: readonly ClientSet[];
  zstd: string;
}

export interface ClientPlaces {
  /** Debian and Ubuntu keep a directory per version below it. */
  root?: string;
  /** Directories that are looked through besides, as a `PATH`. */
  path?: string;
}

/**
 * All sets of client programs on this host, and zstd. Asks each for its version; one that does not answer is left out.
 * Errors: `backup_client_missing` when there is no zstd; a missing PostgreSQL client is told when one is chosen.
 */
export async function findClients(places: ClientPlaces = {}, signal?: AbortSignal): Promise<ClientPrograms> {
  const { root = '/usr/lib/postgresql', path = '/usr/local/bin:/usr/bin:/bin' } = places;
  const onPath = path.split(':').filter((dir) => dir.startsWith('/'));
  const versions = existsSync(root) ? readdirSync(root).map((name) => join(root, name, 'bin')) : [];
  const postgres: ClientSet[] = [];
  for (const dir of [...versions, ...onPath]) {
    const pgDump = join(dir, 'pg_dump');
    const pgRestore = join(dir, 'pg_restore');
    // Debian's own pg_dump on the PATH is a wrapper that chooses a version by itself.
    if (!existsSync(pgDump) || !existsSync(pgRestore)) continue;
    const said = await runCommand(pgDump, ['--version'], { signal, timeoutMs: 5_000 }).catch(() => null);
    const version = /(\d+(?:\.\d+)*)/.exec(said?.stdout ?? '')?.[1];
    if (version === undefined || postgres.some((one) => one.version === version)) continue;
    postgres.push({ version, major: majorOf(version), pgDump, pgRestore });
  }
  const zstd = onPath.map((dir) => join(dir, 'zstd')).find((file) => existsSync(file));
  if (zstd === undefined)
    throw new BerthError(
      'backup_client_missing',
      'There is no zstd on this host; install the package zstd, then backups go on by themselves.',
    );
  return { postgres, zstd };
}

/** Which set must be at least as new as what. */
export interface VersionNeed {
  /** The server's, or that of the client that made a dump. */
  version: string;
  /** For the sentence: `the server of database "x" at db:5432`. */
  what: string;
}

/**
 * The oldest set that is as new as everything it must read: pg_dump refuses a newer server, and what a newer one writes
 * into a dump an older server may not take. Errors: `backup_client_missing`, with the versions that are there.
 */
export function chooseClients(clients: ClientPrograms, needs: readonly VersionNeed[]): ClientSet {
  const [first, ...others] = needs;
  if (first === undefined) throw new Error('a choice needs at least one version');
  const need = others.reduce((a, b) => (majorOf(b.version) > majorOf(a.version) ? b : a), first);
  const [best] = clients.postgres
    .filter((one) => one.major >= majorOf(need.version))
    .sort((a, b) => a.major - b.major);
  if (best !== undefined) return best;
  const have = clients.postgres.map((one) => one.version).join(', ');
  throw new BerthError(
    'backup_client_missing',
    `${need.what} is PostgreSQL ${need.version}, and ${
      have === '' ? 'this host has no PostgreSQL client' : `the newest client on this host is older: ${have}`
    }; install postgresql-client-${majorOf(need.version)} or a newer one.`,
    { details: { needed: need.version, found: clients.postgres.map((one) => one.version) } },
  );
}

/** 15 of `15.8`; before 10 the first number alone says too little, and nothing here supports them. */
export function majorOf(version: string): number {
  return Number.parseInt(version, 10);
}
