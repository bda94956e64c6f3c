import { common } from './definitions.ts';
import type { Session } from './session.ts';

/** Tables a statement counts at once: a round trip for each would be felt with thousands of small ones. */
const AT_ONCE = 50;

/**
 * Exact row counts of all tables and filled materialized views, by `schema.table` with quotes where SQL needs them, and
 * of large objects if there are any. Reads every table once. Errors: `backup_database_*`.
 */
export async function countRows(session: Session, schema: string | null): Promise<Record<string, number>> {
  const tables = await session.texts(`with ${common(schema)} select name from rel
    where relkind = 'r' or (relkind = 'm' and relispopulated) order by name collate "C"`);
  const rows: [string, number][] = [];
  for (let from = 0; from < tables.length; from += AT_ONCE) {
    const some = tables.slice(from, from + AT_ONCE);
    const counts = await session.texts(
      // A union of many keeps the order it is written in only when asked to.
      `select n::text from (${some
        .map((name, at) => `select ${at} as at, count(*) as n from only ${name}`)
        .join(' union all ')}) counts order by at`,
    );
    some.forEach((name, at) => rows.push([name, Number(counts[at])]));
  }
  if (schema === null) {
    const [objects = '0'] = await session.texts('select count(*)::text from pg_largeobject_metadata');
    if (Number(objects) > 0) rows.push(['pg_catalog.pg_largeobject', Number(objects)]);
  }
  return Object.fromEntries(rows);
}
