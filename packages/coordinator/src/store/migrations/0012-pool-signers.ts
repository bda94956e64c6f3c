import type { Migration } from '../migrate.ts';

/** Whose releases a pool's hosts run: each signed statement, as it was handed in. Hosts that were away need those between. */
export const poolSigners: Migration = {
  number: 12,
  name: 'pool-signers',
  async up(db, { name }) {
    await db.schema
      .createTable('pool_signers')
      .addColumn('pool', name, (c) => c.notNull())
      .addColumn('version', 'bigint', (c) => c.notNull())
      .addColumn('standing', 'text', (c) => c.notNull())
      .addColumn('json', 'text', (c) => c.notNull())
      .addColumn('created_at', 'bigint', (c) => c.notNull())
      .addPrimaryKeyConstraint('pool_signers_pk', ['pool', 'version'])
      .execute();
  },
};
