import { sql } from 'kysely';
import type { Migration } from '../migrate.ts';

/** Who signed a release: JSON; null for one that nobody signed. */
export const signatures: Migration = {
  number: 11,
  name: 'signatures',
  async up(db) {
    await sql`alter table releases add column signature text`.execute(db);
  },
};
