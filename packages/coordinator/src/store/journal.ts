import { expressionBuilder, sql, type Expression, type Kysely, type SqlBool } from 'kysely';
import type { EventFilter, EventRecord } from '../services/records.ts';
import type { StoreReads, StoreWrites } from '../services/store.ts';
import type { Dialect } from './dialect.ts';
import { createDropRepeated, pruneMarks, type DropRepeated } from './event-marks.ts';
import { dropEvents, enterEvents, isIndexDue } from './event-index.ts';
import { createInsertEvents, type SourcedEvent } from './insert-events.ts';
import { details } from './json.ts';
import { eventInScope } from './scope.ts';
import type { EventTable, Tables } from './tables.ts';

type Db = Kysely<Tables>;

/** How many events are kept, and up to `INDEX_EVERY` more. */
export const EVENTS_KEPT = 200_000;

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

const COLUMNS = [
  'events.id',
  'events.at',
  'events.kind',
  'events.tenant',
  'events.app',
  'events.host',
  'events.generation',
  'events.message',
  'events.details',
] as const;

function conditionsOf(filter: EventFilter, after: number): Expression<SqlBool> {
  const eb = expressionBuilder<Tables, 'events'>();
  const visible = eventInScope(filter.scope);
  return eb.and([
    eb('events.id', '>', after),
    ...(visible === null ? [] : [visible]),
    ...(filter.tenant === undefined ? [] : [eb('events.tenant', '=', filter.tenant)]),
    ...(filter.app === undefined ? [] : [eb('events.app', '=', filter.app)]),
    ...(filter.host === undefined ? [] : [eb('events.host', '=', filter.host)]),
    ...(filter.kind === undefined ? [] : [eb('events.kind', '=', filter.kind)]),
  ]);
}

const inOrder = (rows: readonly Omit<EventTable, 'source'>[]): EventRecord[] =>
  rows.toSorted((a, b) => a.id - b.id).map(eventOf);

export function journalReads(db: Db): Pick<StoreReads, 'lastEvent' | 'events'> {
  return {
    async lastEvent() {
      const row = await db.selectFrom('meta').select('last_event').executeTakeFirstOrThrow();
      return row.last_event;
    },
    async events(filter, after, limit) {
      const order = after === undefined ? 'desc' : 'asc';
      const where = conditionsOf(filter, after ?? 0);
      const newest = (from: number, most: number) => {
        const query = db.selectFrom('events').select(COLUMNS).where(where).where('events.id', '>', from);
        return query.orderBy('events.id', order).limit(most).execute();
      };
      const { tenant } = filter;
      if (tenant === undefined) return inOrder(await newest(0, limit));
      // What is not in the index yet is the newest. Rows never change, so the two reads fit however much comes meanwhile.
      const { indexed_event: last } = await db
        .selectFrom('meta')
        .select('indexed_event')
        .executeTakeFirstOrThrow();
      const recent = (most: number) => newest(last, most);
      const entered = (most: number) =>
        db
          .selectFrom('event_index')
          .innerJoin('events', 'events.id', 'event_index.id')
          .select(COLUMNS)
          .where('event_index.tenant', '=', tenant)
          .where('event_index.id', '>', after ?? 0)
          .where('event_index.id', '<=', last)
          .where(where)
          .orderBy('event_index.id', order)
          .limit(most)
          .execute();
      const [first, second] = order === 'asc' ? [entered, recent] : [recent, entered];
      const rows = await first(limit);
      if (rows.length < limit) rows.push(...(await second(limit - rows.length)));
      return inOrder(rows);
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
  if (!isIndexDue(held.last_event, last)) return records;
  await enterEvents(db, last);
  await dropEvents(db, last - EVENTS_KEPT);
  await pruneMarks(db, numbered.at(-1)?.at ?? 0);
  return records;
}
