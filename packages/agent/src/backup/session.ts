import { readFileSync } from 'node:fs';
import { BerthError, messageOf } from '@berth/shared/domain/errors';
import pg from 'pg';
import { z } from 'zod';
import { cleanLine } from '../system/text.ts';
import { placeOf, type Connection } from './connection.ts';

/** A connection to a database that answers one statement after another. */
export interface Session {
  /** How sentences name the database. */
  readonly where: string;
  /** As the server says it: `15.8`. */
  readonly serverVersion: string;
  /** The first column of each row as text; a null is left out. Errors: `backup_database_*`. */
  texts(sql: string): Promise<string[]>;
  /** Ends it, also while a statement runs. Never rejects. */
  close(): Promise<void>;
}

const CONNECT_MS = 15_000;
/** How long a table that somebody else has locked is waited for. */
export const LOCK_WAIT = '300s';
const Row = z.tuple([z.union([z.string(), z.null()])]);

/** Errors: `backup_database_unavailable`, `backup_database_refused`. */
export async function openSession(of: Connection): Promise<Session> {
  const client = await connected(of);
  return await preparedSession(of, client);
}

async function preparedSession(of: Connection, client: pg.Client): Promise<Session> {
  const where = placeOf(of);
  let lost: Error | null = null;
  client.on('error', (error) => (lost ??= error));
  const texts = async (sql: string): Promise<string[]> => {
    try {
      const { rows } = await client.query<unknown[]>({ text: sql, rowMode: 'array' });
      return rows.flatMap((row) => Row.parse(row).filter((text) => text !== null));
    } catch (thrown) {
      throw databaseError(lost ?? thrown, where);
    }
  };
  const close = async (): Promise<void> => {
    client.removeAllListeners('error').on('error', () => undefined);
    const ending = client.end().catch(() => undefined);
    // An end that waits for a running statement is none.
    const late = setTimeout(() => client.connection.stream.destroy(), 500);
    await ending;
    clearTimeout(late);
  };
  try {
    await calm(texts);
    const [version = ''] = await texts('show server_version');
    return { where, serverVersion: /^\S+/.exec(version)?.[0] ?? version, texts, close };
  } catch (thrown) {
    await close();
    throw thrown;
  }
}

/** Settings under which every database answers alike. The role's own time limits are for its app, not for a dump. */
export async function calm(texts: Session['texts']): Promise<void> {
  await texts(`select set_config(name, value, false) from (values
    ('search_path', ''), ('statement_timeout', '0'), ('lock_timeout', '${LOCK_WAIT}'),
    ('idle_in_transaction_session_timeout', '0'), ('row_security', 'off'), ('standard_conforming_strings', 'on'),
    ('datestyle', 'ISO'), ('intervalstyle', 'postgres'), ('extra_float_digits', '1'), ('bytea_output', 'hex'),
    ('quote_all_identifiers', 'off'), ('max_parallel_workers_per_gather', '0'), ('synchronize_seqscans', 'on'),
    ('client_connection_check_interval', '2s')) as wanted (name, value)
    where exists (select from pg_settings s where s.name = wanted.name)`);
}

async function connected(of: Connection): Promise<pg.Client> {
  const { sslMode } = of;
  const socket = of.host.startsWith('/');
  if (socket || sslMode === 'disable' || sslMode === 'allow') return await connect(of, false);
  const verified = sslMode === 'verify-ca' || sslMode === 'verify-full';
  const ssl = {
    rejectUnauthorized: verified || of.sslRootCert !== null,
    ...(of.sslRootCert === null ? {} : { ca: certificatesOf(of) }),
    ...(sslMode === 'verify-full' ? {} : { checkServerIdentity: () => undefined }),
  };
  try {
    return await connect(of, ssl);
  } catch (thrown) {
    if (sslMode === 'prefer' && /does not support SSL/.test(messageOf(thrown)))
      return await connect(of, false);
    throw thrown;
  }
}

async function connect(of: Connection, ssl: pg.ClientConfig['ssl']): Promise<pg.Client> {
  const client = new pg.Client({
    host: of.host,
    port: of.port,
    user: of.user,
    database: of.database,
    // Null is "none"; undefined would be looked for in the agent's own environment.
    password: of.password ?? '',
    ssl,
    connectionTimeoutMillis: CONNECT_MS,
    application_name: 'berth backup',
    keepAlive: true,
  });
  client.on('error', () => undefined);
  try {
    await client.connect();
    return client;
  } catch (thrown) {
    await client.end().catch(() => undefined);
    throw databaseError(thrown, placeOf(of));
  }
}

function certificatesOf(of: Connection): string {
  try {
    return readFileSync(of.sslRootCert ?? '', 'utf8');
  } catch (cause) {
    throw new BerthError(
      'backup_database_refused',
      `The certificates for ${placeOf(of)} cannot be read: ${messageOf(cause)}. Put the file that sslrootcert names there.`,
      { cause },
    );
  }
}

const Said = z.object({ code: z.string() });

/** What PostgreSQL or the network said, as one of ours. Invalid authorization, catalogue, privilege: the server said no. */
export function databaseError(thrown: unknown, where: string): BerthError {
  if (thrown instanceof BerthError) return thrown;
  const code = Said.safeParse(thrown).data?.code ?? '';
  const words = cleanLine(messageOf(thrown), 300);
  if (/^(28|3D|42|22|0A|55)/.test(code))
    return new BerthError(
      'backup_database_refused',
      `The server turned this down for ${where}: ${words}. Check the role, its password and its rights.`,
      { cause: thrown, details: { sqlState: code } },
    );
  return new BerthError(
    'backup_database_unavailable',
    `The connection to ${where} failed: ${words}. Check that the server is up and that this host reaches it.`,
    { cause: thrown, details: { sqlState: code } },
  );
}
