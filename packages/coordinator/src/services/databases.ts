import type {
  DatabaseServerCheck,
  DatabaseServerDetail,
  DatabaseServerShown,
  SetDatabaseServer,
  TenantDatabase,
} from '@berth/shared/api/databases';
import { DATABASE_VARIABLE } from '@berth/shared/domain/database';
import { BerthError } from '@berth/shared/domain/errors';
import type { z } from 'zod';
import type { ServiceContext } from './context.ts';
import { parseServerAddress } from './database-address.ts';
import { audited } from './database-provision.ts';
import { databaseShown } from './database-shown.ts';
import { openServer, postgresOf } from './database-servers.ts';
import type { DatabaseServerRecord, TenantDatabaseRecord } from './database-store.ts';
import type { Actor } from './records.ts';
import { SERVERS_OWNER } from './secret-store.ts';
import { insertAll, sealAll } from './secrets.ts';
import { requireApply } from './tenant-state.ts';

/** Servers for tenants' databases. What tenants have there is made elsewhere, see `database-provision.ts`. */
export interface Databases {
  list(): Promise<DatabaseServerShown[]>;
  show(server: string): Promise<DatabaseServerDetail>;
  /** Connects before anything is kept. Errors: `unavailable`, `conflict`, `already_exists`. */
  set(by: Actor, server: string, given: z.output<typeof SetDatabaseServer>): Promise<DatabaseServerCheck>;
  check(server: string): Promise<DatabaseServerCheck>;
  /**
   * Asks nothing of the server, which may be gone. Errors: `conflict` while anything is on it that is not to be forgotten,
   * and in any case while a tenant has its database there.
   */
  remove(by: Actor, server: string, left: 'refuse' | 'forget'): Promise<void>;
  /** Takes the data of a tenant that is no more away for good. Errors: `conflict` while the tenant is there. */
  drop(by: Actor, tenant: string): Promise<TenantDatabase>;
}

/** No secret's id. */
const NO_ADDRESS = '';
const MOST_SHOWN = 1_000;
/** From here on new tenants are likely to be refused connections. */
const CROWDED = 0.8;

export function createDatabases(context: ServiceContext): Databases {
  const { store, clock } = context;

  async function found(server: string): Promise<DatabaseServerRecord> {
    const record = await store.databaseServer(server);
    if (record !== null) return record;
    throw new BerthError('not_found', `There is no database server ${server}; see "berth database list".`);
  }

  return {
    async list() {
      const counts = await store.databaseCounts();
      return (await store.databaseServers()).map((record) => shown(record, counts.get(record.server)));
    },

    async show(server) {
      const record = await found(server);
      const left = await store.databasesOn(server, 'gone', MOST_SHOWN);
      const tenants = await store.databasesOn(server, 'all', MOST_SHOWN);
      return {
        ...shown(record, (await store.databaseCounts()).get(server)),
        databases: tenants.filter((each) => each.of === 'tenant').map(databaseShown),
        left: left.map(databaseShown),
      };
    },

    async set(by, server, given) {
      await requireApply(store);
      const address = parseServerAddress(given.url);
      const before = await store.databaseServer(server);
      await requireReplaceable(before, server, given.replace, address);
      const session = await postgresOf(context).connect(server, address);
      let facts;
      try {
        facts = await session.facts();
      } finally {
        await session.close();
      }
      const value = { kind: 'value' as const, value: Buffer.from(given.url.trim()).toString('base64') };
      const version = (before?.secretVersion ?? 0) + 1;
      const [sealed] = await sealAll(context, by, SERVERS_OWNER, { [server]: value }, () => version);
      if (sealed === undefined) throw new BerthError('internal', 'The address was not sealed.');
      const at = clock.now();
      await store.mutate(by, at, async (tx) => {
        await requireApply(tx);
        const now = await tx.databaseServer(server);
        if (now?.secretId !== before?.secretId)
          throw new BerthError('conflict', `Somebody else is changing database server ${server}; try again.`);
        const { host, port, user, database, sslmode, sslrootcert } = address;
        const first = (await tx.databaseServers()).every((each) => each.server === server);
        const record: DatabaseServerRecord = {
          server,
          host,
          port,
          user,
          database,
          sslmode,
          sslrootcert,
          version: facts.version,
          standing: given.default || first || now?.standing === 'default' ? 'default' : 'other',
          secretVersion: version,
          secretId: sealed.id,
          createdAt: now?.createdAt ?? at,
          checkedAt: at,
        };
        await insertAll(tx, [sealed]);
        if (now !== null) await tx.deleteSecretVersions(SERVERS_OWNER, server, [now.secretVersion]);
        await tx.putDatabaseServer(record);
        return {
          result: null,
          audit: {
            action: now === null ? 'database-server.added' : 'database-server.changed',
            subject: server,
            before: now === null ? null : auditedServer(now),
            after: auditedServer(record),
          },
        };
      });
      return checked(server, address.sslmode, facts);
    },

    async check(server) {
      const record = await found(server);
      const session = await openServer(context, record);
      try {
        return checked(server, record.sslmode, await session.facts());
      } finally {
        await session.close();
      }
    },

    remove: (by, server, left) =>
      store.mutate(by, clock.now(), async (tx) => {
        await requireApply(tx);
        const record = await tx.databaseServer(server);
        if (record === null)
          throw new BerthError(
            'not_found',
            `There is no database server ${server}; see "berth database list".`,
          );
        const all = await tx.databasesOn(server, 'all', Number.MAX_SAFE_INTEGER);
        const some = left === 'forget' ? all.filter((each) => each.of === 'tenant') : all;
        if (some.length > 0)
          throw new BerthError(
            'conflict',
            `Database server ${server} holds data of ${some
              .slice(0, 3)
              .map((each) => each.tenant)
              .join(', ')}${some.length > 3 ? ' and others' : ''}; see "berth database show ${server}".`,
          );
        for (const { tenant } of all) {
          await tx.deleteTenantDatabase(tenant);
          await tx.deleteSecret(tenant, DATABASE_VARIABLE);
        }
        await tx.deleteDatabaseServer(server);
        await tx.deleteSecret(SERVERS_OWNER, server);
        const audit = {
          action: 'database-server.removed',
          subject: server,
          before: { ...auditedServer(record), left: all.map((each) => each.tenant) },
          after: null,
        };
        return { result: undefined, audit };
      }),

    async drop(by, tenant) {
      await requireApply(store);
      const record = await leftBehind(store, tenant);
      const session = await openServer(context, await found(record.server));
      try {
        // From here on a tenant that is made anew at the same moment finds that it has no database.
        await store.mutate(by, clock.now(), async (tx) => {
          const now = await leftBehind(tx, tenant);
          await tx.putTenantDatabase({ ...now, state: 'making', secretId: NO_ADDRESS });
          // Of a tenant that never came to be its address is still here.
          await tx.deleteSecret(tenant, DATABASE_VARIABLE);
          const audit = {
            action: 'tenant-database.removed',
            subject: tenant,
            before: audited(now),
            after: null,
          };
          return { result: null, audit };
        });
        await session.drop(record);
      } finally {
        await session.close();
      }
      await store.mutate(by, clock.now(), async (tx) => {
        const now = await tx.tenantDatabase(tenant);
        if (now?.secretId !== NO_ADDRESS) return { result: null, audit: null };
        await tx.deleteTenantDatabase(tenant);
        return { result: null, audit: 'bookkeeping' };
      });
      return databaseShown(record);
    },
  };

  async function requireReplaceable(
    before: DatabaseServerRecord | null,
    server: string,
    replace: boolean,
    address: { host: string; port: number },
  ): Promise<void> {
    if (before === null) return;
    if (!replace)
      throw new BerthError(
        'already_exists',
        `There is a database server ${server} already, at ${before.host}:${before.port}. Add --replace to give its address anew, or choose another name.`,
      );
    if (address.host === before.host && address.port === before.port) return;
    const counts = (await store.databaseCounts()).get(server);
    if (counts !== undefined)
      throw new BerthError(
        'conflict',
        `Tenants have their databases on ${server} at ${before.host}:${before.port}, and their addresses say so; only its user, password and TLS can be given anew. Add the other server under another name.`,
      );
  }
}

/** Errors: `not_found`, `conflict` while the tenant is there. */
async function leftBehind(
  reads: Pick<ServiceContext['store'], 'tenantDatabase' | 'tenant'>,
  tenant: string,
): Promise<TenantDatabaseRecord> {
  const record = await reads.tenantDatabase(tenant);
  if (record === null)
    throw new BerthError(
      'not_found',
      `No database of a tenant ${tenant} is kept; see "berth database list".`,
    );
  if ((await reads.tenant(tenant)) !== null)
    throw new BerthError(
      'conflict',
      `Tenant ${tenant} is there and its database with it. Delete the tenant first: berth tenant delete ${tenant}`,
    );
  return record;
}

function shown(
  record: DatabaseServerRecord,
  counts: { tenants: number; gone: number } | undefined,
): DatabaseServerShown {
  const { server, host, port, user, database, sslmode, version, standing, createdAt, checkedAt } = record;
  return {
    server,
    engine: 'postgres',
    host,
    port,
    user,
    database,
    sslmode,
    version,
    standing,
    tenants: counts?.tenants ?? 0,
    leftBehind: counts?.gone ?? 0,
    createdAt,
    checkedAt,
  };
}

function auditedServer(record: DatabaseServerRecord): Record<string, unknown> {
  const { host, port, user, database, sslmode, version, standing } = record;
  return { host, port, user, database, sslmode, version, standing };
}

function checked(
  server: string,
  sslmode: string,
  facts: {
    version: string;
    tls: 'encrypted' | 'plain';
    connections: { most: number; used: number };
    open: string[];
  },
): DatabaseServerCheck {
  const { version, tls, connections, open } = facts;
  const notes: string[] = [];
  if (tls === 'plain')
    notes.push(
      `Connections are not encrypted (sslmode=${sslmode}); fine within one machine, and nowhere else.`,
    );
  else if (sslmode !== 'verify-full' && sslmode !== 'verify-ca')
    notes.push(`Connections are encrypted, and nobody vouches for the server (sslmode=${sslmode}).`);
  if (open.length > 0)
    notes.push(
      `Every role may connect to ${open.join(', ')}, tenants' as well. Berth leaves what is not its own as it is; to close one: REVOKE CONNECT ON DATABASE "${open[0] ?? ''}" FROM PUBLIC;`,
    );
  if (connections.used > connections.most * CROWDED)
    notes.push(`${connections.used} of ${connections.most} connections are taken.`);
  return { server, version, tls, connections, notes };
}
