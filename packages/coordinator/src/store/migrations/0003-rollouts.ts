import { sql, type Kysely } from 'kysely';
import type { Migration } from '../migrate.ts';
import type { Tables } from '../tables.ts';

/** Rollouts and their tenants, traffic, tenants' history, and what of apps and tenants rollouts go by. */
export const rollouts: Migration = {
  number: 3,
  name: 'rollouts',
  async up(db, { name }) {
    await db.schema
      .createTable('rollouts')
      .addColumn('rollout', 'bigint', (c) => c.primaryKey())
      .addColumn('app', name, (c) => c.notNull())
      .addColumn('to_release', 'bigint', (c) => c.notNull())
      .addColumn('policy', 'text', (c) => c.notNull())
      .addColumn('state', 'text', (c) => c.notNull())
      .addColumn('state_json', 'text', (c) => c.notNull())
      .addColumn('wave', 'bigint', (c) => c.notNull())
      .addColumn('waves', 'text', (c) => c.notNull())
      .addColumn('forgiven', 'bigint', (c) => c.notNull())
      .addColumn('reversal', 'text', (c) => c.notNull())
      .addColumn('started_by', 'text', (c) => c.notNull())
      .addColumn('created_at', 'bigint', (c) => c.notNull())
      .addColumn('updated_at', 'bigint', (c) => c.notNull())
      .addColumn('ended_at', 'bigint')
      .addColumn('after_event', 'bigint', (c) => c.notNull())
      .execute();
    await db.schema.createIndex('rollouts_app').on('rollouts').columns(['app', 'rollout']).execute();
    await db.schema.createIndex('rollouts_state').on('rollouts').columns(['state', 'rollout']).execute();
    await db.schema
      .createTable('rollout_tenants')
      .addColumn('rollout', 'bigint', (c) => c.notNull().references('rollouts.rollout').onDelete('cascade'))
      .addColumn('tenant', name, (c) => c.notNull())
      .addColumn('wave', 'bigint', (c) => c.notNull())
      .addColumn('position', 'bigint', (c) => c.notNull())
      .addColumn('from_release', 'bigint', (c) => c.notNull())
      .addColumn('from_generation', 'bigint', (c) => c.notNull())
      .addColumn('progress', 'text', (c) => c.notNull())
      .addColumn('before', 'text')
      .addColumn('desired_before', 'text')
      .addPrimaryKeyConstraint('rollout_tenants_pk', ['rollout', 'tenant'])
      .execute();
    await db.schema
      .createIndex('rollout_tenants_order')
      .on('rollout_tenants')
      .columns(['rollout', 'wave', 'position'])
      .execute();
    await db.schema
      .createTable('traffic')
      .addColumn('tenant', name, (c) => c.notNull())
      .addColumn('generation', 'bigint', (c) => c.notNull())
      .addColumn('slot', 'bigint', (c) => c.notNull())
      .addColumn('run', 'bigint', (c) => c.notNull())
      .addColumn('requests', 'bigint', (c) => c.notNull())
      .addColumn('errors', 'bigint', (c) => c.notNull())
      .addColumn('latency', 'text', (c) => c.notNull())
      // The slot before the generation: what is asked for is a tenant's last day, or its last minutes.
      .addPrimaryKeyConstraint('traffic_pk', ['tenant', 'slot', 'generation', 'run'])
      .execute();
    await db.schema.createIndex('traffic_slot').on('traffic').column('slot').execute();
    await db.schema
      .createTable('tenant_history')
      .addColumn('tenant', name, (c) => c.notNull())
      .addColumn('generation', 'bigint', (c) => c.notNull())
      .addColumn('at', 'bigint', (c) => c.notNull())
      .addColumn('actor', 'text', (c) => c.notNull())
      .addColumn('what', 'text', (c) => c.notNull())
      .addColumn('release', 'bigint', (c) => c.notNull())
      .addColumn('rollout', 'bigint')
      .addColumn('ms', 'bigint')
      .addColumn('message', 'text', (c) => c.notNull())
      .addPrimaryKeyConstraint('tenant_history_pk', ['tenant', 'generation'])
      .execute();
    await columns(db);
    // Until now a number was kept when its tenant had gone; from now on it is kept as soon as it is given out.
    await sql`
      insert into generations (tenant, last) select tenant, generation from tenants where true
      on conflict (tenant) do update set last = excluded.last where excluded.last > generations.last`.execute(
      db,
    );
  },
};

async function columns(db: Kysely<Tables>): Promise<void> {
  await db.schema.alterTable('apps').addColumn('frozen', 'text').execute();
  await db.schema.alterTable('apps').addColumn('current', 'bigint').execute();
  await db.schema
    .alterTable('tenants')
    .addColumn('tags', 'text', (c) => c.notNull().defaultTo('[]'))
    .execute();
  await db.schema.alterTable('tenants').addColumn('pinned', 'text').execute();
  await db.schema.alterTable('tenants').addColumn('window', 'text').execute();
}
