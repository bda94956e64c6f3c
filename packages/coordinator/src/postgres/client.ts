import { readFileSync } from 'node:fs';
import { checkServerIdentity, type ConnectionOptions } from 'node:tls';
import type { Client, QueryResultRow } from 'pg';
import type { ServerAddress, SslMode } from '../services/database-address.ts';
import { cannotConnect, saysNoTls } from './trouble.ts';

const CONNECT_MS = 10_000;
/** Making a database copies some megabytes; a busy server takes seconds for that. */
const STATEMENT_MS = 60_000;

export interface Connected {
  tls: 'encrypted' | 'plain';
  query<Row extends QueryResultRow = QueryResultRow>(text: string, values?: unknown[]): Promise<Row[]>;
  close(): Promise<void>;
}

/** Connects as libpq would by the address's sslmode. Errors: `unavailable`. */
export async function connect(server: string, address: ServerAddress, database?: string): Promise<Connected> {
  let last: unknown;
  try {
    for (const tls of waysOf(address.sslmode)) {
      try {
        return await open(address, tls ? tlsOf(address) : false, database ?? address.database);
      } catch (thrown) {
        last = thrown;
        // Only a server that has no TLS, or lets nobody in that way, is asked the other way.
        if (!saysNoTls(thrown) && !isRefusedByRule(thrown)) throw thrown;
      }
    }
  } catch (thrown) {
    last = thrown;
  }
  throw cannotConnect(server, address, last);
}

function waysOf(mode: SslMode): boolean[] {
  if (mode === 'disable') return [false];
  if (mode === 'allow') return [false, true];
  return mode === 'prefer' ? [true, false] : [true];
}

/** pg_hba.conf has lines for connections with TLS and for those without. */
function isRefusedByRule(thrown: unknown): boolean {
  return thrown instanceof Error && 'code' in thrown && thrown.code === '28000';
}

function tlsOf({ sslmode, sslrootcert, host }: ServerAddress): ConnectionOptions {
  const root =
    sslrootcert === null || sslrootcert === 'system' ? {} : { ca: readFileSync(sslrootcert, 'utf8') };
  if (sslmode === 'verify-full' || sslrootcert === 'system') {
    return { ...root, checkServerIdentity: (_name, certificate) => checkServerIdentity(host, certificate) };
  }
  if (sslmode === 'verify-ca') return { ...root, checkServerIdentity: () => undefined };
  // As libpq has it: with an authority named, `require` wants to see it vouch.
  if (sslmode === 'require' && sslrootcert !== null) return { ...root, checkServerIdentity: () => undefined };
  return { rejectUnauthorized: false };
}

async function open(
  { host, port, user, password }: ServerAddress,
  ssl: ConnectionOptions | false,
  database: string,
): Promise<Connected> {
  const { default: pg } = await import('pg');
  const client: Client = new pg.Client({
    host,
    port,
    user,
    password,
    database,
    ssl,
    connectionTimeoutMillis: CONNECT_MS,
    query_timeout: STATEMENT_MS + 5_000,
    statement_timeout: STATEMENT_MS,
    application_name: 'berth',
  });
  // A connection that breaks between two statements is said by the next one; without a listener it ends the process.
  client.on('error', () => {});
  try {
    await client.connect();
  } catch (thrown) {
    await client.end().catch(() => undefined);
    throw thrown;
  }
  return {
    tls: ssl === false ? 'plain' : 'encrypted',
    async query<Row extends QueryResultRow>(text: string, values?: unknown[]) {
      return (await client.query<Row>(text, values)).rows;
    },
    async close() {
      await client.end().catch(() => undefined);
    },
  };
}
