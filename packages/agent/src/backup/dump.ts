import { BerthError, unreachable } from '@berth/shared/domain/errors';
import { lastLines } from '../system/text.ts';
import { failureOf, startChild, type Child, type Ended } from './children.ts';
import { chooseClients, majorOf, type ClientPrograms } from './clients.ts';
import { clientEnvironment, connectionOf, databaseArgument } from './connection.ts';
import { LOCK_WAIT } from './session.ts';
import { remoteEnvironment, type DatabaseAddress } from './address.ts';

/** A dump that is being made. */
export interface Dump {
  /** Of pg_dump. */
  clientVersion: string;
  /**
   * The dump in one zstd frame. Ends only when every program has ended well; otherwise it throws, so that nobody takes
   * half of it for all. Errors: `backup_dump_failed`, `backup_database_unavailable`.
   */
  body: AsyncIterable<Buffer>;
  /** Of the dump before compression; known once the body has ended. */
  dumpBytes(): number;
  /** Ends the programs, the body then throws; resolves when they are gone. */
  stop(): Promise<void>;
}

export interface DumpOptions {
  clients: ClientPrograms;
  /** As `pg_export_snapshot()` gave it; its session must stay open. */
  snapshot: string;
  serverVersion: string;
  /** Names the database in sentences. */
  where: string;
  signal: AbortSignal;
}

const LEVEL = '-3';
/** The custom format without compression of its own: zstd makes it smaller in a third of the time. */
const FORMAT = [
  '--format=custom',
  '--compress=0',
  '--no-password',
  // Behind a migration that holds a table for longer than this the next backup is the better one.
  `--lock-wait-timeout=${LOCK_WAIT}`,
] as const;

/** A program that gives the dump, wherever it runs. */
interface Source {
  name: string;
  version: string;
  ended: Promise<{ ended: Ended; lines(): string[] }>;
  stop(): void;
}

/** Starts pg_dump and zstd. Errors: `backup_client_missing`, `backup_database_refused`. */
export async function startDump(address: DatabaseAddress, options: DumpOptions): Promise<Dump> {
  const { clients, where } = options;
  const args = [
    ...FORMAT,
    `--snapshot=${options.snapshot}`,
    // A pattern: in quotes every character stands for itself.
    ...(address.schema === undefined
      ? []
      : [`--schema="${address.schema.replaceAll('"', '""')}"`, '--strict-names']),
  ];
  const zstdArgs = ['-vv', '--no-progress', LEVEL, '-c'];
  const env = { PATH: '/usr/bin:/bin', LC_ALL: 'C.UTF-8' };
  switch (address.kind) {
    case 'url': {
      const set = chooseClients(clients, [
        { version: options.serverVersion, what: `The server of ${where}` },
      ]);
      const connection = connectionOf(address.url);
      const pgDump = startChild(set.pgDump, [...args, databaseArgument(connection.database)], {
        env: clientEnvironment(connection),
        stdio: ['ignore', 'pipe'],
        secret: connection.password,
      });
      // Joined by the kernel: what is not compressed yet never comes into this process.
      const output = pgDump.process.stdout;
      const zstd = startChild(clients.zstd, zstdArgs, { env, stdio: [output, 'pipe'] });
      output?.destroy();
      const source: Source = {
        name: pgDump.name,
        version: set.version,
        ended: pgDump.ended.then((ended) => ({ ended, lines: () => pgDump.lastWords() })),
        stop: () => pgDump.stop(),
      };
      return joined(source, zstd, where);
    }
    case 'exec': {
      const remote = await address.programs.start(['pg_dump', ...args, databaseArgument(address.database)], {
        env: remoteEnvironment(address),
        signal: options.signal,
      });
      remote.stdin.on('error', () => undefined);
      remote.stdin.end();
      const zstd = startChild(clients.zstd, zstdArgs, { env, stdio: ['pipe', 'pipe'] });
      remote.stdout.on('error', () => zstd.stop());
      if (zstd.process.stdin !== null) remote.stdout.pipe(zstd.process.stdin);
      const source: Source = {
        name: 'pg_dump',
        // The image's own, so of the server's version.
        version: options.serverVersion,
        ended: remote.ended.then(
          ({ code, stderr }) => ({ ended: { code, signal: null }, lines: () => lastLines(stderr, 5, 400) }),
          (thrown: unknown) => ({ ended: { code: null, signal: null }, lines: () => [String(thrown)] }),
        ),
        stop: () => remote.stop(),
      };
      return joined(source, zstd, where);
    }
    default:
      return unreachable(address);
  }
}

function joined(source: Source, zstd: Child, where: string): Dump {
  let dumpBytes = 0;
  // Read from the first moment: Node throws away what a program has written when it ends before anybody reads.
  const output: AsyncIterable<Buffer> | null = zstd.process.stdout;
  const chunks = output?.[Symbol.asyncIterator]();
  let next = chunks?.next();
  next?.catch(() => undefined);
  async function* body(): AsyncGenerator<Buffer> {
    let bytes = 0;
    try {
      for (;;) {
        const chunk = await next;
        if (chunk === undefined || chunk.done === true) break;
        bytes += chunk.value.length;
        yield chunk.value;
        next = chunks?.next();
      }
      const dumped = await source.ended;
      const packed = await zstd.ended;
      // When zstd goes first pg_dump only meets a broken pipe.
      if (packed.code !== 0 && (packed.signal !== null || dumped.ended.code === 0))
        throw failureOf(zstd, packed, 'backup_dump_failed', where);
      if (dumped.ended.code !== 0)
        throw failureOf(
          { name: source.name, lastWords: dumped.lines },
          dumped.ended,
          'backup_dump_failed',
          where,
        );
      dumpBytes = readSize(zstd, bytes, where);
    } finally {
      source.stop();
      zstd.stop();
    }
  }
  return {
    clientVersion: source.version,
    body: body(),
    dumpBytes: () => dumpBytes,
    async stop() {
      source.stop();
      zstd.stop();
      await Promise.all([source.ended, zstd.ended]);
    },
  };
}

/** zstd says at the end how much it read and wrote: `(1048576 B => 245993 B, …)`, older ones `(1048576 => 245993 bytes`. */
function readSize(zstd: Child, bytes: number, where: string): number {
  const [, read, wrote] = /\(\s*(\d+)\s*B?\s*=>\s*(\d+)/.exec(zstd.lastWords(20).join(' ')) ?? [];
  if (read !== undefined && Number(wrote) === bytes) return Number(read);
  throw new BerthError(
    'backup_dump_failed',
    `zstd did not say how much it compressed for ${where}, or not as much as came: ${zstd.lastWords(1).join('')}. Install zstd 1.4 or newer.`,
    { details: { bytes } },
  );
}

/** Whether a client of this version reads what another wrote: custom dumps are read by newer ones. */
export function reads(client: string, written: string): boolean {
  return majorOf(client) >= majorOf(written);
}
