import { sql } from 'kysely';
import type { Migration } from '../migrate.ts';

/**
 * Which events of an agent are on record is known by the number of the last one, not by an index over all of them, which
 * every event of a rollout had to be entered into.
 */
export const eventMarks: Migration = {
  number: 4,
  name: 'event-marks',
  async up(db, { name }) {
    await db.schema
      .createTable('event_marks')
      .addColumn('host', name, (c) => c.notNull())
      .addColumn('start', name, (c) => c.notNull())
      .addColumn('last', 'bigint', (c) => c.notNull())
      .addColumn('at', 'bigint', (c) => c.notNull())
      .addPrimaryKeyConstraint('event_marks_pk', ['host', 'start'])
      .execute();
    await sql`drop index events_host`.execute(db);
  },
};
