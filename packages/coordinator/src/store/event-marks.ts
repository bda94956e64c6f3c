import type { Kysely } from 'kysely';
import { batchStatement, listStatement } from './batch.ts';
import type { Dialect } from './dialect.ts';
import type { SourcedEvent } from './insert-events.ts';
import type { Tables } from './tables.ts';

type Db = Kysely<Tables>;

/** Leaves out events that are on record already, and remembers the others. */
export type DropRepeated = (db: Db, events: readonly SourcedEvent[]) => Promise<SourcedEvent[]>;

/** An agent that has not been heard of under one start for so long does not repeat what it said then. */
const KEPT_MS = 7 * 86_400_000;

/**
 * An agent numbers its events from each of its starts (`START-NUMBER`) and repeats them in their order, so the last number
 * tells which are on record. Ids of another kind are looked up one by one; they are rare.
 */
export function createDropRepeated(dialect: Dialect): DropRepeated {
  const known = listStatement<{ host: string; source: string }>(
    dialect,
    ['text', 'text'],
    (list) => `select e.host, e.source from ${list} join events e on e.host = list.c0 and e.source = list.c1`,
  );
  const readMarks = listStatement<{ host: string; start: string; last: number }>(
    dialect,
    ['text', 'text'],
    (list) =>
      `select m.host, m.start, m.last from ${list} join event_marks m on m.host = list.c0 and m.start = list.c1`,
  );
  const writeMarks = batchStatement(
    dialect,
    ['text', 'text', 'bigint', 'bigint'],
    'insert into event_marks (host, start, last, at) select v.column1, v.column2, v.column3, v.column4 from',
    'where true on conflict (host, start) do update set last = excluded.last, at = excluded.at',
  );

  return async (db, events) => {
    const starts = new Map<string, readonly [string, string]>();
    const others: [string, string][] = [];
    for (const { host, source } of events) {
      if (host === null || source === null) continue;
      const counted = countedIn(source);
      if (counted === null) others.push([host, source]);
      else starts.set(`${host} ${counted.start}`, [host, counted.start]);
    }
    const taken = new Set<string>();
    if (others.length > 0) for (const row of await known(db, others)) taken.add(`${row.host} ${row.source}`);
    const last = new Map<string, number>();
    if (starts.size > 0)
      for (const row of await readMarks(db, [...starts.values()]))
        last.set(`${row.host} ${row.start}`, Number(row.last));

    const marks = new Map<string, [string, string, number, number]>();
    const fresh: SourcedEvent[] = [];
    for (const event of events) {
      const { host, source } = event;
      if (host === null || source === null) {
        fresh.push(event);
        continue;
      }
      const counted = countedIn(source);
      if (counted === null) {
        const key = `${host} ${source}`;
        if (taken.has(key)) continue;
        taken.add(key);
        fresh.push(event);
        continue;
      }
      const key = `${host} ${counted.start}`;
      if (counted.number <= (last.get(key) ?? 0)) continue;
      last.set(key, counted.number);
      marks.set(key, [host, counted.start, counted.number, event.at]);
      fresh.push({ ...event, source: null });
    }
    // In one order everywhere, so that no two writers wait for each other.
    const rows = [...marks.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, mark]) => mark);
    await writeMarks(db, rows);
    return fresh;
  };
}

/** Forgets starts that are long past. */
export async function pruneMarks(db: Db, now: number): Promise<void> {
  await db
    .deleteFrom('event_marks')
    .where('at', '<', now - KEPT_MS)
    .execute();
}

function countedIn(source: string): { start: string; number: number } | null {
  const match = /^([0-9a-f]{16})-([1-9][0-9]{0,14})$/.exec(source);
  const [, start, number] = match ?? [];
  return start === undefined || number === undefined ? null : { start, number: Number(number) };
}
