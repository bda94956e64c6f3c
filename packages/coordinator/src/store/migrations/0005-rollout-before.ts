import { sql } from 'kysely';
import type { Migration } from '../migrate.ts';

/**
 * What was desired before a rollout has a table of its own. It is written once and is some kilobytes long; beside a
 * tenant's progress it was written again with each step of it.
 */
export const rolloutBefore: Migration = {
  number: 5,
  name: 'rollout-before',
  async up(db, { name }) {
    await db.schema
      .createTable('rollout_before')
      .addColumn('rollout', 'bigint', (c) => c.notNull())
      .addColumn('tenant', name, (c) => c.notNull())
      .addColumn('json', 'text', (c) => c.notNull())
      .addPrimaryKeyConstraint('rollout_before_pk', ['rollout', 'tenant'])
      .execute();
    await sql`insert into rollout_before (rollout, tenant, json)
      select rollout, tenant, desired_before from rollout_tenants where desired_before is not null`.execute(
      db,
    );
    await sql`alter table rollout_tenants drop column desired_before`.execute(db);
  },
};
