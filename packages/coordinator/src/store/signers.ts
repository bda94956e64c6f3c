import type { Kysely } from 'kysely';
import { SignedSigners, standingOf } from '@berth/shared/domain/signers';
import type { KeptSigners, SignersReads, SignersWrites } from '../services/signers-store.ts';
import type { Dialect } from './dialect.ts';
import { textMap } from './json.ts';
import type { Tables } from './tables.ts';

type Db = Kysely<Tables>;

/** Null for a row that somebody has written otherwise: hosts then say that it is missing. */
function statementOf({ json, created_at }: { json: string; created_at: number }): KeptSigners | null {
  try {
    const parsed = SignedSigners.safeParse(JSON.parse(json));
    return parsed.success ? { ...parsed.data, at: created_at } : null;
  } catch {
    return null;
  }
}

/** Oldest first. */
export async function readPoolSigners(db: Db, dialect: Dialect, pool: string): Promise<KeptSigners[]> {
  const rows = await db
    .selectFrom('pool_signers')
    .select(['json', 'created_at'])
    .where('pool', '=', pool)
    .orderBy('version')
    .$if(db.isTransaction, (query) => query.modifyEnd(dialect.forUpdate))
    .execute();
  return rows.flatMap((row) => statementOf(row) ?? []);
}

export function signersReads(db: Db, dialect: Dialect): SignersReads {
  return {
    poolSigners: (pool) => readPoolSigners(db, dialect, pool),
    async requiringPools() {
      const rows = await db
        .selectFrom('pool_signers')
        .select(['pool', 'json', 'created_at'])
        .orderBy('pool')
        .orderBy('version')
        .execute();
      const newest = new Map<string, KeptSigners>();
      for (const row of rows) {
        const statement = statementOf(row);
        if (statement !== null) newest.set(row.pool, statement);
      }
      return new Map([...newest].filter(([, { signers }]) => signers.required));
    },
    async signersHosts(pool) {
      const rows = await db
        .selectFrom('hosts')
        .select(['host', 'name', 'connection', 'facts'])
        .where('pool', '=', pool)
        .orderBy('name')
        .orderBy('host')
        .execute();
      return rows.map((row) => ({ ...row, facts: textMap(row.facts) }));
    },
  };
}

export function signersWrites(db: Db): SignersWrites {
  return {
    async addPoolSigners({ at, ...statement }, how) {
      const { pool, version } = statement.signers;
      if (how === 'anew') await db.deleteFrom('pool_signers').where('pool', '=', pool).execute();
      const rows = await db
        .insertInto('pool_signers')
        .values({
          pool,
          version,
          standing: standingOf(statement),
          json: JSON.stringify(statement),
          created_at: at,
        })
        .onConflict((oc) => oc.columns(['pool', 'version']).doNothing())
        .returning('version')
        .execute();
      return rows.length > 0;
    },
  };
}
