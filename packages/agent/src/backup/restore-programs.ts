import type { Writable } from 'node:stream';
import { BerthError, unreachable } from '@berth/shared/domain/errors';
import { lastLines } from '../system/text.ts';
import { remoteEnvironment, whereOf, type DatabaseAddress } from './address.ts';
import { failureOf, howItEnded, startChild, type Child, type Ended } from './children.ts';
import { chooseClients, type ClientPrograms } from './clients.ts';
import { clientEnvironment, connectionOf, databaseArgument } from './connection.ts';

/** zstd and pg_restore at work. */
export interface RestorePrograms {
  /** Takes the compressed object. */
  input: Writable;
  /** When both have ended: what went wrong, null when nothing did. Never rejects. */
  ended: Promise<Error | null>;
  stop(): void;
}

export interface RestoreOptions {
  clients: ClientPrograms;
  /** The version of the client that made the dump. */
  written: string;
  /** A file with what is to be restored; null for everything. */
  list: string | null;
  signal: AbortSignal;
}

/** Everything belongs to whoever restores it; what no role of a tenant may make is left out. */
const ARGUMENTS = [
  '--format=custom',
  '--exit-on-error',
  '--no-password',
  '--no-owner',
  '--no-privileges',
  '--no-tablespaces',
  '--no-security-labels',
  '--no-publications',
  '--no-subscriptions',
] as const;
const UNPACK = ['-d', '-q', '-c'] as const;
const ENV = { PATH: '/usr/bin:/bin', LC_ALL: 'C.UTF-8' };

/** Errors: `backup_client_missing`, those of `RemotePrograms`. */
export async function startRestore(
  target: DatabaseAddress,
  options: RestoreOptions,
): Promise<RestorePrograms> {
  const { clients, written, list, signal } = options;
  const where = whereOf(target);
  switch (target.kind) {
    case 'url': {
      const set = chooseClients(clients, [{ version: written, what: 'The client that made the backup' }]);
      const connection = connectionOf(target.url);
      const zstd = startChild(clients.zstd, UNPACK, { env: ENV, stdio: ['pipe', 'pipe'] });
      const output = zstd.process.stdout;
      const pgRestore = startChild(
        set.pgRestore,
        [
          ...ARGUMENTS,
          ...(list === null ? [] : [`--use-list=${list}`]),
          databaseArgument(connection.database),
        ],
        { env: clientEnvironment(connection), stdio: [output, 'ignore'], secret: connection.password },
      );
      output?.destroy();
      const restored = pgRestore.ended.then((ended) => ({ ended, lines: () => pgRestore.lastWords() }));
      return joined(zstd, restored, () => pgRestore.stop(), where);
    }
    case 'exec': {
      // A list would have to be a file in there; the user of such a database may write comments on extensions.
      const argv = ['pg_restore', ...ARGUMENTS, databaseArgument(target.database)] as const;
      const remote = await target.programs.start([...argv], { env: remoteEnvironment(target), signal });
      const zstd = startChild(clients.zstd, UNPACK, { env: ENV, stdio: ['pipe', 'pipe'] });
      remote.stdin.on('error', () => zstd.stop());
      remote.stdout.resume();
      zstd.process.stdout?.pipe(remote.stdin);
      const restored = remote.ended.then(
        ({ code, stderr }) => ({ ended: { code, signal: null }, lines: () => lastLines(stderr, 5, 400) }),
        (thrown: unknown) => ({ ended: { code: null, signal: null }, lines: () => [String(thrown)] }),
      );
      return joined(zstd, restored, () => remote.stop(), where);
    }
    default:
      return unreachable(target);
  }
}

function joined(
  zstd: Child,
  restored: Promise<{ ended: Ended; lines(): string[] }>,
  stopRestore: () => void,
  where: string,
): RestorePrograms {
  const input = zstd.process.stdin;
  if (input === null) throw new Error('a piped stdin is never null');
  return {
    input,
    ended: Promise.all([restored, zstd.ended]).then(([restore, unpack]) => {
      // It ends with 1 when what it reads is no zstd; a reader that left ends it by a signal.
      if (unpack.code !== 0 && unpack.signal === null)
        return new BerthError(
          'backup_mismatch',
          `The object cannot be decompressed: zstd ${howItEnded(unpack)}: ${zstd.lastWords(2).join(' · ')}. It is damaged or was changed.`,
        );
      if (restore.ended.code !== 0)
        return failureOf(
          { name: 'pg_restore', lastWords: restore.lines },
          restore.ended,
          'backup_restore_failed',
          where,
        );
      return unpack.signal === null ? null : failureOf(zstd, unpack, 'backup_restore_failed', where);
    }),
    stop() {
      stopRestore();
      zstd.stop();
    },
  };
}
