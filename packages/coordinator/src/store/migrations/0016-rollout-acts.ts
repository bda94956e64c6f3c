import { sql } from 'kysely';
import type { Migration } from '../migrate.ts';

/** What stopped a rollout and what people did to it, beside its state, which tells of the last of it alone. */
export const rolloutActs: Migration = {
  number: 16,
  name: 'rollout-acts',
  async up(db) {
    await sql`alter table rollouts add column acts text not null default '[]'`.execute(db);
  },
};
