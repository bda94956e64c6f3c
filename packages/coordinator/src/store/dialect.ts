import { closeSync, openSync } from 'node:fs';
import { Kysely, PostgresDialect, SqliteDialect, sql, type RawBuilder, type Transaction } from 'kysely';
import Database from 'better-sqlite3';
import { BerthError, messageOf } from '@berth/shared/domain/errors';
import type { Tables } from './tables.ts';

export type StoreOptions =
  { kind: 'sqlite'; path: string } | { kind: 'postgres'; url: string; connections?: number };

/** Everything in which the two databases differ. */
export interface Dialect {
  readonly kind: 'sqlite' | 'postgres';
  readonly db: Kysely<Tables>;
  /** Column type of names: compared byte by byte in both, so that pages are in the same order. */
  readonly name: RawBuilder<unknown>;
  /** Column type of a key that is a number and, in SQLite, the row's own. */
  readonly rowNumber: RawBuilder<unknown>;
  /** Ends the definition of a table of small rows that is kept in the order of its key. */
  readonly clustered: RawBuilder<unknown>;
  /** Ends a select that reads rows to change them. SQLite has one writer at a time and needs none. */
  readonly forUpdate: RawBuilder<unknown>;
  /** `?` or `$n`, for statements whose text is built once and kept. */
  placeholder(index: number): string;
  /** A transaction that no other process's start can run beside. */
  exclusively<T>(work: (tx: Kysely<Tables>) => Promise<T>): Promise<T>;
  transaction<T>(work: (tx: Transaction<Tables>) => Promise<T>): Promise<T>;
}

export async function createDialect(options: StoreOptions): Promise<Dialect> {
  return options.kind === 'sqlite' ? sqlite(options.path) : postgres(options.url, options.connections ?? 10);
}

function sqlite(path: string): Dialect {
  const held = path === ':memory:' ? null : holdAlone(path);
  let file: Database.Database;
  try {
    // It holds variables, so it is its owner's alone; the files beside it take over its rights.
    if (path !== ':memory:') closeSync(openSync(path, 'a', 0o600));
    file = new Database(path, { timeout: 5000 });
    file.pragma('journal_mode = WAL');
    // FULL: a commit is on the disk before it is acknowledged. The default of WAL may lose the last ones with the power.
    file.pragma('synchronous = FULL');
    file.pragma('foreign_keys = ON');
    file.pragma('busy_timeout = 5000');
    file.pragma('temp_store = MEMORY');
    // The log of writes is copied into the database every 16 MB instead of every 4: a page that changes again and again,
    // as those of indexes do, is copied once, and the copying holds up everybody less often.
    file.pragma('wal_autocheckpoint = 4000');
    // KiB. SQLite's own 2 MB hold less than a rollout over thousands of tenants touches again and again.
    file.pragma('cache_size = -8000');
  } catch (cause) {
    held?.close();
    throw new BerthError(
      'unavailable',
      `The database ${path} cannot be opened: ${messageOf(cause)}. Check that its folder exists and may be written.`,
      { cause },
    );
  }
  const db = new Kysely<Tables>({ dialect: new SqliteDialect({ database: remembering(file, held) }) });
  return {
    kind: 'sqlite',
    db,
    name: sql`text`,
    rowNumber: sql`integer`,
    clustered: sql`without rowid`,
    forUpdate: sql``,
    placeholder: () => '?',
    exclusively: (work) =>
      db.connection().execute(async (connection) => {
        await sql`begin immediate`.execute(connection);
        try {
          const result = await work(connection);
          await sql`commit`.execute(connection);
          return result;
        } catch (thrown) {
          await sql`rollback`.execute(connection);
          throw thrown;
        }
      }),
    transaction: (work) => db.transaction().execute(work),
  };
}

/**
 * Two coordinators on one file would not know of each other's agents. A second, empty database beside the first is kept
 * locked: the kernel lets go of it when the process ends, however it ends.
 */
function holdAlone(path: string): Database.Database {
  const lock = `${path}.lock`;
  let file: Database.Database | null = null;
  try {
    closeSync(openSync(lock, 'a', 0o600));
    // One that is just stopping is waited for.
    file = new Database(lock, { timeout: LOCK_WAIT_MS });
    file.exec('begin exclusive');
    return file;
  } catch (cause) {
    file?.close();
    const busy = cause instanceof Error && 'code' in cause && cause.code === 'SQLITE_BUSY';
    throw new BerthError(
      busy ? 'conflict' : 'unavailable',
      busy
        ? `Another coordinator already uses the database ${path}. Stop it first, or use PostgreSQL for several.`
        : `The database ${path} cannot be opened: ${messageOf(cause)}. Check that its folder exists and may be written.`,
      { cause },
    );
  }
}

const LOCK_WAIT_MS = 2_000;

/** Keeps prepared statements: preparing costs more than most of our statements do. */
function remembering(
  file: Database.Database,
  held: Database.Database | null,
): {
  prepare(text: string): Database.Statement;
  close(): void;
} {
  const MOST = 400;
  const kept = new Map<string, Database.Statement>();
  return {
    prepare(text) {
      const known = kept.get(text);
      if (known !== undefined) return known;
      const statement = file.prepare(text);
      // Schema changes and transaction control are rare and need no place.
      if (kept.size >= MOST) {
        const oldest = kept.keys().next();
        if (oldest.done !== true) kept.delete(oldest.value);
      }
      kept.set(text, statement);
      return statement;
    },
    close() {
      kept.clear();
      file.close();
      held?.close();
    },
  };
}

const INT8 = 20;
const NUMERIC = 1700;
/** Any number, the same in every Berth: who holds it migrates. */
const MIGRATION_LOCK = 7_112_019;

async function postgres(url: string, connections: number): Promise<Dialect> {
  // Loaded only where it is used: the embedded store is the default, and memory counts.
  const { default: pg } = await import('pg');
  // Counters and times stay far below 2^53, so they are numbers here as they are in SQLite.
  const types = new pg.TypeOverrides();
  types.setTypeParser(INT8, Number);
  types.setTypeParser(NUMERIC, Number);
  const pool = new pg.Pool({
    connectionString: url,
    max: connections,
    application_name: 'berth',
    types,
  });
  // Without a listener a connection that breaks would end the process, idle or in use. The pool replaces it by itself,
  // and whoever uses it has the error from the query.
  pool.on('error', () => {});
  pool.on('connect', (client) => client.on('error', () => {}));
  const db = new Kysely<Tables>({ dialect: new PostgresDialect({ pool }) });
  return {
    kind: 'postgres',
    db,
    name: sql`text collate "C"`,
    rowNumber: sql`bigint`,
    clustered: sql``,
    // The weaker lock leaves room for foreign keys that point at the row; with `for update` two inserts would deadlock.
    forUpdate: sql`for no key update`,
    placeholder: (index) => `$${index + 1}`,
    exclusively: (work) =>
      db.transaction().execute(async (tx) => {
        await sql`select pg_advisory_xact_lock(${MIGRATION_LOCK})`.execute(tx);
        return await work(tx);
      }),
    transaction: (work) => retrying(() => db.transaction().execute(work)),
  };
}

/** Deadlock, serialization failure, and a unique key that another transaction took a moment ago. */
const AGAIN = new Set(['40P01', '40001', '23505']);

async function retrying<T>(work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work();
    } catch (thrown) {
      const code = thrown instanceof Error && 'code' in thrown ? thrown.code : undefined;
      if (attempt >= 4 || typeof code !== 'string' || !AGAIN.has(code)) throw thrown;
    }
  }
}
