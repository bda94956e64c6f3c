import { CompiledQuery, type Kysely } from 'kysely';
import type { Dialect } from './dialect.ts';
import type { Tables } from './tables.ts';

type Db = Kysely<Tables>;
type Value = string | number | null;
type ColumnType = 'text' | 'bigint' | 'double precision';

/**
 * A statement over many rows, written `head (values …) as v tail`, where the columns are `v.column1`, `v.column2` and so
 * on in both databases. Its text is built once per size, and sizes are powers of two, so that the database's prepared
 * statements are few: this is the hot path of ingest.
 */
export function batchStatement(
  dialect: Dialect,
  columns: readonly ColumnType[],
  head: string,
  tail: string,
): (db: Db, rows: readonly (readonly Value[])[]) => Promise<void> {
  const LARGEST = 128;
  const texts = new Map<number, string>();
  const textOf = (rows: number): string => {
    const known = texts.get(rows);
    if (known !== undefined) return known;
    let index = 0;
    const tuples = Array.from(
      { length: rows },
      () => `(${columns.map((type) => typed(dialect, index++, type)).join(', ')})`,
    );
    const text = `${head} (values ${tuples.join(', ')}) as v ${tail}`;
    texts.set(rows, text);
    return text;
  };
  return async (db, rows) => {
    for (let from = 0; from < rows.length;) {
      let size = LARGEST;
      while (size > rows.length - from) size /= 2;
      const parameters = rows.slice(from, from + size).flat();
      await db.executeQuery(CompiledQuery.raw(textOf(size), parameters));
      from += size;
    }
  };
}

/** PostgreSQL must be told the type of a parameter in a VALUES list; SQLite takes what it is given. */
function typed(dialect: Dialect, index: number, type: ColumnType): string {
  const placeholder = dialect.placeholder(index);
  return dialect.kind === 'postgres' ? `cast(${placeholder} as ${type})` : placeholder;
}

/**
 * A select over a list of any length, handed over as one JSON parameter, so that its text is always the same and is
 * prepared once. `text` is given what to select from: a table with the columns `c0`, `c1` and so on. A list of one column
 * is given as its values, one of several as rows.
 */
export function listStatement<Row>(
  dialect: Dialect,
  columns: readonly ColumnType[],
  text: (list: string) => string,
): (db: Db, list: readonly (Value | readonly Value[])[]) => Promise<readonly Row[]> {
  const single = columns.length === 1;
  const picked = columns.map((type, index) => {
    if (dialect.kind === 'sqlite')
      return `cast(${single ? 'value' : `value ->> ${index}`} as ${type}) as c${index}`;
    return `cast(${single ? `value #>> '{}'` : `value ->> ${index}`} as ${type}) as c${index}`;
  });
  const elements =
    dialect.kind === 'sqlite'
      ? `json_each(${dialect.placeholder(0)})`
      : `json_array_elements(cast(${dialect.placeholder(0)} as json))`;
  const statement = text(`(select ${picked.join(', ')} from ${elements}) as list`);
  return async (db, list) => {
    if (list.length === 0) return [];
    const { rows } = await db.executeQuery<Row>(CompiledQuery.raw(statement, [JSON.stringify(list)]));
    return rows;
  };
}
