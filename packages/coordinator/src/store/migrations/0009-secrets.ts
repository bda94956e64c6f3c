import type { Migration } from '../migrate.ts';

/** Each version of a secret is a row: encrypted, with what wraps its key; or a reference to where its value is. */
export const secrets: Migration = {
  number: 9,
  name: 'secrets',
  async up(db, { name }) {
    await db.schema
      .createTable('tenant_secrets')
      .addColumn('tenant', name, (c) => c.notNull())
      .addColumn('name', name, (c) => c.notNull())
      .addColumn('version', 'bigint', (c) => c.notNull())
      .addColumn('id', 'text', (c) => c.notNull())
      .addColumn('reference', 'text')
      .addColumn('key_name', 'text')
      .addColumn('wrapped', 'text')
      .addColumn('box', 'text')
      .addColumn('created_at', 'bigint', (c) => c.notNull())
      .addColumn('created_by', 'text', (c) => c.notNull())
      .addPrimaryKeyConstraint('tenant_secrets_pk', ['tenant', 'name', 'version'])
      .execute();
  },
};
