import { sql, type Kysely } from 'kysely';
import type { EventRecord } from '../services/records.ts';
import type { StoreReads, StoreWrites } from '../services/store.ts';
import type { Dialect } from './dialect.ts';
import { createDropRepeated, pruneMarks, type DropRepeated } from './event-marks.ts';
import { createInsertEvents, type SourcedEvent } from './insert-events.ts';
import { details } from './json.ts';
import { eventInScope } from './scope.ts';
import type { EventTable, Tables } from './tables.ts';

type Db = Kysely<Tables>;

/** How many events are kept. */
export const EVENTS_KEPT = 200_000;
const PRUNE_EVERY = 1_000;

const eventOf = (row: Omit<EventTable, 'source'>): EventRecord => ({
  id: row.id,
  at: row.at,
  kind: row.kind,
  tenant: row.tenant,
  app: row.app,
  host: row.host,
  generation: row.generation,
  message: row.message,
  details: details(row.details),
});

export function journalReads(db: Db): Pick<StoreReads, 'lastEvent' | 'events'> {
  return {
    async lastEvent() {
      const row = await db.selectFrom('meta').select('last_event').executeTakeFirstOrThrow();
      return row.last_event;
    },
    async events(filter, after, limit) {
      let query = db
        .selectFrom('events')
        .select(['id', 'at', 'kind', 'tenant', 'app', 'host', 'generation', 'message', 'details'])
        .limit(limit);
      const visible = eventInScope(filter.scope);
      if (visible !== null) query = query.where(visible);
      if (filter.tenant !== undefined) query = query.where('tenant', '=', filter.tenant);
      if (filter.app !== undefined) query = query.where('app', '=', filter.app);
      if (filter.host !== undefined) query = query.where('host', '=', filter.host);
      if (filter.kind !== undefined) query = query.where('kind', '=', filter.kind);
      if (after === undefined) {
        const newest = await query.orderBy('id', 'desc').execute();
        return newest.reverse().map(eventOf);
      }
      return (await query.where('id', '>', after).orderBy('id').execute()).map(eventOf);
    },
  };
}

export function journalWrites(db: Db, append: AppendEvents): Pick<StoreWrites, 'addEvents'> {
  return {
    addEvents: (events) =>
      append(
        db,
        events.map((event) => ({ ...event, source: null })),
      ),
  };
}

export type AppendEvents = (db: Db, events: readonly SourcedEvent[]) => Promise<void>;

export interface EventLog {
  append: AppendEvents;
  /** What a transaction appended, in order; it holds when the transaction is committed. */
  appendedIn(tx: Db): readonly EventRecord[];
}

/** Made once a store: its statements are prepared once. */
export function createEventLog(dialect: Dialect): EventLog {
  const insert = createInsertEvents(dialect);
  const dropRepeated = createDropRepeated(dialect);
  const appended = new WeakMap<Db, EventRecord[]>();
  return {
    async append(db, events) {
      const rows = await appendEvents(db, events, insert, dropRepeated);
      appended.set(db, [...(appended.get(db) ?? []), ...rows]);
    },
    appendedIn: (tx) => appended.get(tx) ?? [],
  };
}

/**
 * Numbers are taken from one row that stays locked until the commit, so they are in the order of commits without a gap:
 * whoever has read up to a number has missed nothing. Call it last in a transaction.
 */
async function appendEvents(
  db: Db,
  events: readonly SourcedEvent[],
  insert: (db: Db, rows: readonly EventTable[]) => Promise<void>,
  dropRepeated: DropRepeated,
): Promise<EventRecord[]> {
  if (events.length === 0) return [];
  const held = await db
    .updateTable('meta')
    .set({ last_event: sql`last_event + 0` })
    .returning('last_event')
    .executeTakeFirstOrThrow();
  const fresh = await dropRepeated(db, events);
  if (fresh.length === 0) return [];
  const numbered = fresh.map((event, index) => ({ ...event, id: held.last_event + 1 + index }));
  await insert(
    db,
    numbered.map((event) => ({ ...event, details: JSON.stringify(event.details) })),
  );
  const last = held.last_event + numbered.length;
  await db.updateTable('meta').set({ last_event: last }).execute();
  const records = numbered.map(({ source: _source, ...record }) => record);
  if (Math.floor(last / PRUNE_EVERY) === Math.floor(held.last_event / PRUNE_EVERY)) return records;
  await db
    .deleteFrom('events')
    .where('id', '<=', last - EVENTS_KEPT)
    .execute();
  await pruneMarks(db, numbered.at(-1)?.at ?? 0);
  return records;
}
