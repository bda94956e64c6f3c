import { sql, type Kysely } from 'kysely';
import type { PoolRecord } from '../services/records.ts';
import type { StoreReads } from '../services/store.ts';
import { inScope } from './scope.ts';
import type { Tables } from './tables.ts';

type Db = Kysely<Tables>;

/** Nothing is kept of a pool but its variables, who may join and whose releases it runs: it is where hosts and tenants say they are. */
function poolQuery(db: Db) {
  const members = db
    .selectFrom('hosts')
    .select(['pool', sql<number>`1`.as('host'), sql<number>`0`.as('tenant')])
    .unionAll(
      db.selectFrom('tenants').select(['pool', sql<number>`0`.as('host'), sql<number>`1`.as('tenant')]),
    )
    .unionAll(
      db
        .selectFrom('variables')
        .where('scope', '=', 'pool')
        .select(['owner as pool', sql<number>`0`.as('host'), sql<number>`0`.as('tenant')]),
    )
    .unionAll(
      db.selectFrom('join_rules').select(['pool', sql<number>`0`.as('host'), sql<number>`0`.as('tenant')]),
    )
    .unionAll(
      db.selectFrom('pool_signers').select(['pool', sql<number>`0`.as('host'), sql<number>`0`.as('tenant')]),
    );
  return db
    .selectFrom(members.as('members'))
    .select([
      'pool',
      (eb) => eb.fn.sum<number>('host').as('hosts'),
      (eb) => eb.fn.sum<number>('tenant').as('tenants'),
    ])
    .groupBy('pool')
    .orderBy('pool');
}

export function poolReads(db: Db): Pick<StoreReads, 'pools' | 'pool' | 'sharedVariables'> {
  return {
    async pools({ after, limit, scope }): Promise<PoolRecord[]> {
      let query = poolQuery(db).limit(limit);
      const visible = inScope(scope, { pool: 'members.pool' });
      if (visible !== null) query = query.where(visible);
      if (after !== undefined) query = query.where('pool', '>', after);
      return await query.execute();
    },
    async pool(pool) {
      return (await poolQuery(db).where('pool', '=', pool).executeTakeFirst()) ?? null;
    },
    async sharedVariables(scope, owners) {
      const found = new Map<string, Record<string, string>>();
      if (owners.length === 0) return found;
      const rows = await db
        .selectFrom('variables')
        .select(['owner', 'name', 'value'])
        .where('scope', '=', scope)
        .where('owner', 'in', [...owners])
        .orderBy('name')
        .execute();
      for (const { owner, name, value } of rows) found.set(owner, { ...found.get(owner), [name]: value });
      return found;
    },
  };
}
