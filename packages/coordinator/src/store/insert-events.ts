import type { Kysely } from 'kysely';
import { batchStatement } from './batch.ts';
import type { Dialect } from './dialect.ts';
import type { NewEvent } from '../services/records.ts';
import type { EventTable, Tables } from './tables.ts';

type Db = Kysely<Tables>;

export interface SourcedEvent extends Omit<NewEvent, 'kind'> {
  kind: string;
  source: string | null;
}

/** Writes events, many in a statement that is prepared once. */
export function createInsertEvents(dialect: Dialect): (db: Db, rows: readonly EventTable[]) => Promise<void> {
  const insertRows = batchStatement(
    dialect,
    ['bigint', 'bigint', 'text', 'text', 'text', 'text', 'bigint', 'text', 'text', 'text'],
    `insert into events (id, at, kind, tenant, app, host, generation, message, details, source)
     select v.column1, v.column2, v.column3, v.column4, v.column5, v.column6, v.column7, v.column8, v.column9, v.column10
     from`,
    '',
  );
  return (db, rows) =>
    insertRows(
      db,
      rows.map((row) => [
        row.id,
        row.at,
        row.kind,
        row.tenant,
        row.app,
        row.host,
        row.generation,
        row.message,
        row.details,
        row.source,
      ]),
    );
}
