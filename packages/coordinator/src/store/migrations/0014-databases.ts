import type { Migration } from '../migrate.ts';

/** PostgreSQL servers for tenants, and what each tenant has on them. Addresses are among the secrets, sealed. */
export const databases: Migration = {
  number: 14,
  name: 'databases',
  async up(db, { name }) {
    await db.schema
      .createTable('database_servers')
      .addColumn('server', name, (c) => c.primaryKey())
      .addColumn('host', 'text', (c) => c.notNull())
      .addColumn('port', 'bigint', (c) => c.notNull())
      .addColumn('username', 'text', (c) => c.notNull())
      .addColumn('database', 'text', (c) => c.notNull())
      .addColumn('sslmode', 'text', (c) => c.notNull())
      .addColumn('sslrootcert', 'text')
      .addColumn('version', 'text', (c) => c.notNull())
      .addColumn('standing', 'text', (c) => c.notNull())
      .addColumn('secret_version', 'bigint', (c) => c.notNull())
      .addColumn('secret_id', 'text', (c) => c.notNull())
      .addColumn('created_at', 'bigint', (c) => c.notNull())
      .addColumn('checked_at', 'bigint', (c) => c.notNull())
      .execute();
    await db.schema
      .createTable('tenant_databases')
      .addColumn('tenant', name, (c) => c.primaryKey())
      .addColumn('app', name, (c) => c.notNull())
      .addColumn('pool', name, (c) => c.notNull())
      .addColumn('server', name, (c) => c.notNull())
      .addColumn('mark', 'text', (c) => c.notNull())
      .addColumn('role', 'text', (c) => c.notNull())
      .addColumn('database', 'text', (c) => c.notNull())
      .addColumn('own_schema', 'text')
      .addColumn('connections', 'bigint', (c) => c.notNull())
      .addColumn('state', 'text', (c) => c.notNull())
      .addColumn('secret_id', 'text', (c) => c.notNull())
      .addColumn('created_at', 'bigint', (c) => c.notNull())
      .execute();
    await db.schema
      .createIndex('tenant_databases_server')
      .on('tenant_databases')
      .columns(['server', 'tenant'])
      .execute();
  },
};
