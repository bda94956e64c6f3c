import { BerthError } from '@berth/shared/domain/errors';
import type { ServiceContext } from './context.ts';
import { parseServerAddress, type ServerAddress } from './database-address.ts';
import type { WantedDatabase } from './database-look.ts';
import type { DatabaseReads, DatabaseServerRecord, TenantDatabaseRecord } from './database-store.ts';
import type { Postgres, PostgresSession } from './postgres.ts';
import { vaultOf } from './secret-keys.ts';
import { SERVERS_OWNER } from './secret-store.ts';

const NO_POSTGRES: Postgres = {
  connect: () =>
    Promise.reject(new BerthError('unavailable', 'This coordinator was built without database servers.')),
};

export const postgresOf = ({ postgres }: Pick<ServiceContext, 'postgres'>): Postgres =>
  postgres ?? NO_POSTGRES;

/** Connects as the server's administrator. Errors: `unavailable`, `secret_unavailable`. */
export async function openServer(
  deps: Pick<ServiceContext, 'store' | 'vault' | 'postgres'>,
  record: DatabaseServerRecord,
): Promise<PostgresSession> {
  return await postgresOf(deps).connect(record.server, await addressOf(deps, record));
}

async function addressOf(
  deps: Pick<ServiceContext, 'store' | 'vault'>,
  { server, secretVersion: version, secretId: id }: DatabaseServerRecord,
): Promise<ServerAddress> {
  const again = `Give it anew: berth database add ${server} --replace --url -`;
  const kept = await deps.store.secret({ tenant: SERVERS_OWNER, name: server, version, id });
  if (kept?.content.kind !== 'sealed')
    throw new BerthError('secret_unavailable', `The address of database server ${server} is gone. ${again}`);
  let value: Buffer;
  try {
    value = await vaultOf(deps).open(kept, kept.content.sealed);
  } catch (cause) {
    throw new BerthError(
      'secret_unavailable',
      `The address of database server ${server} cannot be opened: its key is missing or another; see "berth secret keys". ${again}`,
      { cause, details: { server } },
    );
  }
  try {
    return parseServerAddress(value.toString('utf8'));
  } finally {
    value.fill(0);
  }
}

/**
 * The server that a tenant's database is or goes on: where it is already, the one that is named, the default, or the only
 * one. Errors: `not_found`, `conflict`.
 */
export async function serverFor(
  reads: Pick<DatabaseReads, 'databaseServers'>,
  { tenant, app, wish }: WantedDatabase,
  present: TenantDatabaseRecord | null,
): Promise<DatabaseServerRecord> {
  const servers = await reads.databaseServers();
  const name = present?.server ?? wish.server;
  if (name !== null) {
    const named = servers.find((each) => each.server === name);
    if (named !== undefined) return named;
    throw new BerthError(
      'not_found',
      `App ${app} asks for a database on server ${name} for tenant ${tenant}, and there is no such server; see "berth database list", or add it: berth database add ${name} --url -`,
    );
  }
  const only = servers.length === 1 ? servers[0] : servers.find((each) => each.standing === 'default');
  if (only !== undefined) return only;
  throw new BerthError(
    'conflict',
    servers.length === 0
      ? `App ${app} asks for a database (x-berth.database), and no server is registered. Add one: berth database add main --url -`
      : `App ${app} asks for a database and does not say on which of the servers ${servers.map((each) => each.server).join(', ')}. Write x-berth.database.server, or make one the default: berth database add ${servers[0]?.server ?? 'main'} --replace --default --url -`,
  );
}
