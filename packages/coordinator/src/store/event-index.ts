import { sql, type Kysely } from 'kysely';
import type { Tables } from './tables.ts';

type Db = Kysely<Tables>;

/**
 * Events that are not yet in the index of tenants' events; a read of one tenant's looks through these one by one, which
 * takes about a millisecond.
 */
export const INDEX_EVERY = 8_192;

/** Whether so many were written since `before` that they are entered now. */
export function isIndexDue(before: number, last: number): boolean {
  return Math.floor(last / INDEX_EVERY) > Math.floor(before / INDEX_EVERY);
}

/** Enters all events up to and with `last`, in the index's own order, so that each of its pages is written once. */
export async function enterEvents(db: Db, last: number): Promise<void> {
  await sql`insert into event_index (tenant, id) select e.tenant, e.id from events e
    where e.id > (select indexed_event from meta) and e.id <= ${last} and e.tenant is not null
    order by e.tenant, e.id`.execute(db);
  await db.updateTable('meta').set({ indexed_event: last }).execute();
}

/** Forgets the events up to and with `last`. */
export async function dropEvents(db: Db, last: number): Promise<void> {
  await sql`delete from event_index where (tenant, id) in
    (select e.tenant, e.id from events e where e.id <= ${last} and e.tenant is not null)`.execute(db);
  await db.deleteFrom('events').where('id', '<=', last).execute();
}
