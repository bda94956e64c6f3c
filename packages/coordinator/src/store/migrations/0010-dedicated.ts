import type { Migration } from '../migrate.ts';

/** Who keeps a host to himself, and an operator's word on where a tenant may connect to (null: as its release says). */
export const dedicated: Migration = {
  number: 10,
  name: 'dedicated',
  async up(db, { name }) {
    await db.schema
      .alterTable('tenants')
      .addColumn('tenancy', name, (c) => c.notNull().defaultTo('shared'))
      .execute();
    await db.schema.alterTable('tenants').addColumn('egress', 'text').execute();
  },
};
