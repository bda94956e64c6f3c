import { sql, type Kysely } from 'kysely';
import { SSL_MODES } from '../services/database-address.ts';
import type {
  DatabaseReads,
  DatabaseServerRecord,
  DatabaseWrites,
  TenantDatabaseRecord,
} from '../services/database-store.ts';
import type { Dialect } from './dialect.ts';
import type { DatabaseServerTable, Tables, TenantDatabaseTable } from './tables.ts';

type Db = Kysely<Tables>;

export function databaseReads(db: Db, dialect: Dialect): DatabaseReads {
  return {
    async databaseServers() {
      const rows = await db.selectFrom('database_servers').selectAll().orderBy('server').execute();
      return rows.map(serverOf);
    },
    async databaseServer(server) {
      const row = await db
        .selectFrom('database_servers')
        .selectAll()
        .where('server', '=', server)
        .$if(db.isTransaction, (query) => query.modifyEnd(dialect.forUpdate))
        .executeTakeFirst();
      return row === undefined ? null : serverOf(row);
    },
    async tenantDatabase(tenant) {
      const row = await db
        .selectFrom('tenant_databases')
        .selectAll()
        .where('tenant', '=', tenant)
        .$if(db.isTransaction, (query) => query.modifyEnd(dialect.forUpdate))
        .executeTakeFirst();
      return row === undefined ? null : databaseOf(row);
    },
    async tenantDatabasesNamed(tenants) {
      if (tenants.length === 0) return [];
      const rows = await db
        .selectFrom('tenant_databases')
        .selectAll()
        .where('tenant', 'in', [...tenants])
        .execute();
      return rows.map(databaseOf);
    },
    async databasesOn(server, which, limit) {
      const rows = await db
        .selectFrom('tenant_databases as d')
        .leftJoin('tenants as t', 't.tenant', 'd.tenant')
        .selectAll('d')
        .select('t.tenant as present')
        .where('d.server', '=', server)
        .$if(which === 'gone', (query) => query.where('t.tenant', 'is', null))
        .orderBy('d.tenant')
        .limit(limit)
        .execute();
      return rows.map(({ present, ...row }) => ({
        ...databaseOf(row),
        of: present === null ? 'gone' : 'tenant',
      }));
    },
    async databaseCounts() {
      const rows = await db
        .selectFrom('tenant_databases as d')
        .leftJoin('tenants as t', 't.tenant', 'd.tenant')
        .select(['d.server', sql<number>`count(t.tenant)`.as('tenants'), sql<number>`count(*)`.as('all')])
        .groupBy('d.server')
        .execute();
      return new Map(
        rows.map(({ server, tenants, all }) => [server, { tenants, gone: all - tenants }] as const),
      );
    },
  };
}

export function databaseWrites(db: Db): DatabaseWrites {
  return {
    async putDatabaseServer(record) {
      const { server, ...rest } = rowOfServer(record);
      if (record.standing === 'default')
        await db
          .updateTable('database_servers')
          .set({ standing: 'other' })
          .where('server', '<>', server)
          .execute();
      await db
        .insertInto('database_servers')
        .values({ server, ...rest })
        .onConflict((oc) => oc.column('server').doUpdateSet(rest))
        .execute();
    },
    async deleteDatabaseServer(server) {
      await db.deleteFrom('database_servers').where('server', '=', server).execute();
    },
    async putTenantDatabase(record) {
      const { tenant, ...rest } = rowOfDatabase(record);
      await db
        .insertInto('tenant_databases')
        .values({ tenant, ...rest })
        .onConflict((oc) => oc.column('tenant').doUpdateSet(rest))
        .execute();
    },
    async deleteTenantDatabase(tenant) {
      await db.deleteFrom('tenant_databases').where('tenant', '=', tenant).execute();
    },
  };
}

function serverOf(row: DatabaseServerTable): DatabaseServerRecord {
  const { server, host, port, database, version, standing, sslrootcert } = row;
  return {
    server,
    host,
    port,
    user: row.username,
    database,
    // What is not known any more is taken for the strictest.
    sslmode: SSL_MODES.find((mode) => mode === row.sslmode) ?? 'verify-full',
    sslrootcert,
    version,
    standing,
    secretVersion: row.secret_version,
    secretId: row.secret_id,
    createdAt: row.created_at,
    checkedAt: row.checked_at,
  };
}

function rowOfServer(record: DatabaseServerRecord): DatabaseServerTable {
  const { server, host, port, database, sslmode, sslrootcert, version, standing } = record;
  return {
    server,
    host,
    port,
    username: record.user,
    database,
    sslmode,
    sslrootcert,
    version,
    standing,
    secret_version: record.secretVersion,
    secret_id: record.secretId,
    created_at: record.createdAt,
    checked_at: record.checkedAt,
  };
}

function databaseOf(row: TenantDatabaseTable): TenantDatabaseRecord {
  const { tenant, app, pool, server, mark, role, database, own_schema: schema, connections, state } = row;
  return {
    tenant,
    app,
    pool,
    server,
    mark,
    role,
    database,
    schema,
    connections,
    state,
    secretId: row.secret_id,
    createdAt: row.created_at,
  };
}

function rowOfDatabase(record: TenantDatabaseRecord): TenantDatabaseTable {
  const { tenant, app, pool, server, mark, role, database, schema, connections, state } = record;
  return {
    tenant,
    app,
    pool,
    server,
    mark,
    role,
    database,
    own_schema: schema,
    connections,
    state,
    secret_id: record.secretId,
    created_at: record.createdAt,
  };
}
