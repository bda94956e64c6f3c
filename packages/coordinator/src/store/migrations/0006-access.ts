import type { Migration } from '../migrate.ts';

/** What a token is good for, whom we trust to say who they are, and which of their words were used up. */
export const access: Migration = {
  number: 6,
  name: 'access',
  async up(db, { name }) {
    // JSON; null for tokens from before: everything.
    await db.schema.alterTable('tokens').addColumn('scope', 'text').execute();
    await db.schema
      .createTable('oidc_trust')
      .addColumn('id', name, (c) => c.primaryKey())
      .addColumn('issuer', 'text', (c) => c.notNull())
      .addColumn('json', 'text', (c) => c.notNull())
      .addColumn('created_at', 'bigint', (c) => c.notNull())
      .addColumn('created_by', 'text', (c) => c.notNull())
      .execute();
    await db.schema
      .createTable('oidc_used')
      .addColumn('hash', name, (c) => c.primaryKey())
      .addColumn('expires_at', 'bigint', (c) => c.notNull())
      .execute();
  },
};
