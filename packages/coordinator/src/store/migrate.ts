import { sql, type Kysely } from 'kysely';
import { BerthError } from '@berth/shared/domain/errors';
import type { Dialect } from './dialect.ts';
import type { Tables } from './tables.ts';

/** What the two databases call differently in a table's definition. */
export type ColumnTypes = Pick<Dialect, 'name' | 'rowNumber' | 'clustered'>;

export interface Migration {
  number: number;
  name: string;
  up(db: Kysely<Tables>, types: ColumnTypes): Promise<void>;
}

/**
 * Brings the database to the version of this code, all or nothing, under a lock, so that coordinators that start at the
 * same moment do it once. Errors: `conflict` when the database is newer than the code.
 */
export async function migrate(dialect: Dialect, migrations: readonly Migration[]): Promise<void> {
  await dialect.exclusively(async (tx) => {
    await sql`create table if not exists schema_versions (number bigint primary key, name text not null)`.execute(
      tx,
    );
    const found = await sql<{ number: number }>`select number from schema_versions`.execute(tx);
    const present = new Set(found.rows.map((row) => row.number));
    const latest = Math.max(0, ...present);
    const newest = migrations.at(-1)?.number ?? 0;
    if (latest > newest) {
      throw new BerthError(
        'conflict',
        `The database is at version ${latest}, made by a newer Berth; this one knows versions up to ${newest}. Start the newer Berth, or restore a backup from before the upgrade.`,
        { details: { database: latest, code: newest } },
      );
    }
    for (const migration of migrations) {
      // One by one, not from the latest on: a database may have met two versions' migrations in another order.
      if (present.has(migration.number)) continue;
      await migration.up(tx, dialect);
      await sql`insert into schema_versions (number, name) values (${migration.number}, ${migration.name})`.execute(
        tx,
      );
    }
  });
}
