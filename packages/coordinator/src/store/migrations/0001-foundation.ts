import type { Kysely } from 'kysely';
import { sql } from 'kysely';
import type { Migration } from '../migrate.ts';
import type { Tables } from '../tables.ts';

/** Apps, tenants, hosts, what is desired and observed, events, audit, tokens. */
export const foundation: Migration = {
  number: 1,
  name: 'foundation',
  async up(db, { name }) {
    await db.schema
      .createTable('meta')
      .addColumn('id', 'integer', (c) => c.primaryKey())
      .addColumn('epoch', 'bigint', (c) => c.notNull())
      .addColumn('mode', 'text', (c) => c.notNull())
      .addColumn('reason', 'text')
      .addColumn('last_event', 'bigint', (c) => c.notNull())
      .addColumn('last_audit', 'bigint', (c) => c.notNull())
      .addColumn('probed_at', 'bigint', (c) => c.notNull())
      .execute();
    await db
      .insertInto('meta')
      .values({ id: 1, epoch: 1, mode: 'apply', reason: null, last_event: 0, last_audit: 0, probed_at: 0 })
      .execute();

    await db.schema
      .createTable('apps')
      .addColumn('app', name, (c) => c.primaryKey())
      .addColumn('release', 'bigint', (c) => c.notNull())
      .addColumn('created_at', 'bigint', (c) => c.notNull())
      .addColumn('updated_at', 'bigint', (c) => c.notNull())
      .execute();
    await db.schema
      .createTable('releases')
      .addColumn('app', name, (c) => c.notNull().references('apps.app').onDelete('cascade'))
      .addColumn('release', 'bigint', (c) => c.notNull())
      .addColumn('digest', 'text', (c) => c.notNull())
      .addColumn('compose', 'text', (c) => c.notNull())
      .addColumn('env_files', 'text', (c) => c.notNull())
      .addColumn('labels', 'text', (c) => c.notNull())
      .addColumn('services', 'text', (c) => c.notNull())
      .addColumn('created_at', 'bigint', (c) => c.notNull())
      .addColumn('created_by', 'text', (c) => c.notNull())
      .addPrimaryKeyConstraint('releases_pk', ['app', 'release'])
      .execute();
    await db.schema
      .createTable('variables')
      .addColumn('scope', 'text', (c) => c.notNull())
      .addColumn('owner', name, (c) => c.notNull())
      .addColumn('name', name, (c) => c.notNull())
      .addColumn('value', 'text', (c) => c.notNull())
      .addColumn('updated_at', 'bigint', (c) => c.notNull())
      .addPrimaryKeyConstraint('variables_pk', ['scope', 'owner', 'name'])
      .execute();

    await hostTables(db, name);
    await tenantTables(db, name);
    await logTables(db, name);
  },
};

type Name = Parameters<Migration['up']>[1]['name'];

async function hostTables(db: Kysely<Tables>, name: Name): Promise<void> {
  await db.schema
    .createTable('hosts')
    .addColumn('host', name, (c) => c.primaryKey())
    .addColumn('name', 'text', (c) => c.notNull())
    .addColumn('public_key', 'text', (c) => c.notNull().unique())
    .addColumn('pool', name, (c) => c.notNull())
    .addColumn('scheduling', 'text', (c) => c.notNull())
    .addColumn('revision', 'bigint', (c) => c.notNull())
    .addColumn('digest', 'text', (c) => c.notNull())
    .addColumn('acked_epoch', 'bigint', (c) => c.notNull())
    .addColumn('acked_revision', 'bigint', (c) => c.notNull())
    .addColumn('memory_bytes', 'bigint', (c) => c.notNull())
    .addColumn('cpus', 'double precision', (c) => c.notNull())
    .addColumn('disk_bytes', 'bigint', (c) => c.notNull())
    .addColumn('ingress_address', 'text')
    .addColumn('ingress_port', 'bigint')
    .addColumn('facts', 'text', (c) => c.notNull())
    .addColumn('report', 'text')
    .addColumn('agent_version', 'text')
    .addColumn('boot_id', 'text')
    .addColumn('connection', 'text', (c) => c.notNull())
    .addColumn('last_seen_at', 'bigint')
    .addColumn('created_at', 'bigint', (c) => c.notNull())
    .execute();
  await db.schema.createIndex('hosts_pool').on('hosts').column('pool').execute();
  await db.schema
    .createTable('desired')
    .addColumn('host', name, (c) => c.notNull().references('hosts.host').onDelete('cascade'))
    .addColumn('tenant', name, (c) => c.notNull())
    .addColumn('kind', 'text', (c) => c.notNull())
    .addColumn('json', 'text', (c) => c.notNull())
    .addColumn('digest', 'text', (c) => c.notNull())
    .addColumn('revision', 'bigint', (c) => c.notNull())
    .addPrimaryKeyConstraint('desired_pk', ['host', 'tenant'])
    .execute();
  await db.schema.createIndex('desired_revision').on('desired').columns(['host', 'revision']).execute();
  await sql`create index desired_forgotten on desired (host) where kind = 'forgotten'`.execute(db);
  await db.schema
    .createTable('observed')
    .addColumn('tenant', name, (c) => c.primaryKey())
    .addColumn('host', name, (c) => c.notNull())
    .addColumn('generation', 'bigint', (c) => c.notNull())
    .addColumn('live', 'bigint')
    .addColumn('phase', 'text', (c) => c.notNull())
    .addColumn('at', 'bigint', (c) => c.notNull())
    .addColumn('problem', 'text')
    .addColumn('json', 'text', (c) => c.notNull())
    .execute();
}

async function tenantTables(db: Kysely<Tables>, name: Name): Promise<void> {
  await db.schema
    .createTable('tenants')
    .addColumn('tenant', name, (c) => c.primaryKey())
    .addColumn('app', name, (c) => c.notNull().references('apps.app'))
    .addColumn('release', 'bigint', (c) => c.notNull())
    .addColumn('generation', 'bigint', (c) => c.notNull())
    .addColumn('state', 'text', (c) => c.notNull())
    .addColumn('host', name, (c) => c.notNull().references('hosts.host'))
    .addColumn('pool', name, (c) => c.notNull())
    .addColumn('domains', 'text', (c) => c.notNull())
    .addColumn('routes', 'text', (c) => c.notNull())
    .addColumn('reserved_memory', 'bigint', (c) => c.notNull())
    .addColumn('reserved_cpus', 'double precision', (c) => c.notNull())
    .addColumn('surge_memory', 'bigint', (c) => c.notNull())
    .addColumn('created_at', 'bigint', (c) => c.notNull())
    .addColumn('updated_at', 'bigint', (c) => c.notNull())
    .execute();
  // Holds the sums that placement needs, so that they are read from the index alone.
  await db.schema
    .createIndex('tenants_host')
    .on('tenants')
    .columns(['host', 'reserved_memory', 'reserved_cpus', 'surge_memory'])
    .execute();
  await db.schema.createIndex('tenants_app').on('tenants').columns(['app', 'tenant']).execute();
  await db.schema
    .createTable('generations')
    .addColumn('tenant', name, (c) => c.primaryKey())
    .addColumn('last', 'bigint', (c) => c.notNull())
    .execute();
  await db.schema
    .createTable('domains')
    .addColumn('domain', name, (c) => c.primaryKey())
    .addColumn('tenant', name, (c) => c.notNull().references('tenants.tenant').onDelete('cascade'))
    .execute();
  await db.schema.createIndex('domains_tenant').on('domains').column('tenant').execute();
}

async function logTables(db: Kysely<Tables>, name: Name): Promise<void> {
  await db.schema
    .createTable('events')
    .addColumn('id', 'bigint', (c) => c.primaryKey())
    .addColumn('at', 'bigint', (c) => c.notNull())
    .addColumn('kind', 'text', (c) => c.notNull())
    .addColumn('tenant', name)
    .addColumn('app', name)
    .addColumn('host', name)
    .addColumn('generation', 'bigint')
    .addColumn('message', 'text', (c) => c.notNull())
    .addColumn('details', 'text', (c) => c.notNull())
    .addColumn('source', 'text')
    .execute();
  await sql`create unique index events_source on events (host, source) where source is not null`.execute(db);
  await db.schema.createIndex('events_tenant').on('events').columns(['tenant', 'id']).execute();
  await db.schema.createIndex('events_host').on('events').columns(['host', 'id']).execute();
  await db.schema
    .createTable('audit')
    .addColumn('id', 'bigint', (c) => c.primaryKey())
    .addColumn('at', 'bigint', (c) => c.notNull())
    .addColumn('actor', 'text', (c) => c.notNull())
    .addColumn('action', 'text', (c) => c.notNull())
    .addColumn('subject', 'text', (c) => c.notNull())
    .addColumn('request_id', 'text', (c) => c.notNull())
    .addColumn('before', 'text', (c) => c.notNull())
    .addColumn('after', 'text', (c) => c.notNull())
    .execute();
  await db.schema
    .createTable('tokens')
    .addColumn('id', 'text', (c) => c.primaryKey())
    .addColumn('name', 'text', (c) => c.notNull())
    .addColumn('role', 'text', (c) => c.notNull())
    .addColumn('hash', 'text', (c) => c.notNull().unique())
    .addColumn('created_at', 'bigint', (c) => c.notNull())
    .addColumn('expires_at', 'bigint')
    .addColumn('last_used_at', 'bigint')
    .execute();
  await db.schema
    .createTable('join_tokens')
    .addColumn('hash', 'text', (c) => c.primaryKey())
    .addColumn('pool', 'text', (c) => c.notNull())
    .addColumn('created_at', 'bigint', (c) => c.notNull())
    .addColumn('expires_at', 'bigint', (c) => c.notNull())
    .addColumn('used_by', 'text')
    .execute();
}
