import type { Migration } from '../migrate.ts';

/** Which machines may join a pool by themselves, and which instance each host proved to be. */
export const enrolment: Migration = {
  number: 8,
  name: 'enrolment',
  async up(db, { name }) {
    await db.schema
      .createTable('join_rules')
      .addColumn('pool', name, (c) => c.primaryKey())
      .addColumn('aws', 'text', (c) => c.notNull())
      .addColumn('updated_at', 'bigint', (c) => c.notNull())
      .execute();
    // A row outlives its host: an instance whose host was removed does not come back by itself.
    await db.schema
      .createTable('instances')
      .addColumn('instance', name, (c) => c.primaryKey())
      .addColumn('host', name, (c) => c.notNull().unique())
      .addColumn('account', 'text', (c) => c.notNull())
      .addColumn('region', 'text', (c) => c.notNull())
      .addColumn('role', 'text', (c) => c.notNull())
      .addColumn('image', 'text', (c) => c.notNull())
      .addColumn('enrolled_at', 'bigint', (c) => c.notNull())
      .addColumn('reenrol_until', 'bigint')
      .execute();
    await db.schema
      .createTable('spent_challenges')
      .addColumn('hash', name, (c) => c.primaryKey())
      .addColumn('expires_at', 'bigint', (c) => c.notNull())
      .execute();
    await db.schema
      .createTable('enrolment_key')
      .addColumn('id', 'integer', (c) => c.primaryKey())
      .addColumn('key', 'text', (c) => c.notNull())
      .execute();
  },
};
