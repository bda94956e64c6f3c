import type { Pool, PoolDetail, PoolVariables } from '@berth/shared/api/pools';
import type { SetVariables } from '@berth/shared/api/releases';
import { BerthError } from '@berth/shared/domain/errors';
import type { ServiceContext } from './context.ts';
import { listed, type Listed } from './paging.ts';
import type { Actor, PoolRecord } from './records.ts';
import { changeShared, sharedBy } from './shared-variables.ts';
import type { Page } from './store.ts';

export interface Pools {
  list(page: Page): Promise<Listed<Pool>>;
  show(pool: string): Promise<PoolDetail>;
  /** Nothing is rendered anew: each tenant of the pool takes the values up with its next change. */
  setVariables(by: Actor, pool: string, change: SetVariables['variables']): Promise<PoolVariables>;
}

export function createPools({ store, clock }: ServiceContext): Pools {
  return {
    async list(page) {
      const rows = await store.pools({ ...page, limit: page.limit + 1 });
      const variables = await store.sharedVariables(
        'pool',
        rows.map((row) => row.pool),
      );
      const shown = rows.map((row) => ({ ...row, variables: Object.keys(variables.get(row.pool) ?? {}) }));
      return listed(shown, page.limit, (row) => row.pool);
    },
    async show(pool) {
      return {
        ...found(await store.pool(pool), pool),
        variables: await sharedBy(store, 'pool', pool),
        join: { aws: await store.joinRule(pool) },
      };
    },
    async setVariables(by, pool, change) {
      const at = clock.now();
      return await store.mutate<PoolVariables>(by, at, async (tx) => {
        // A pool is made by its first host or tenant: another name is a typing error most of the time.
        found(await tx.pool(pool), pool);
        const { result, audit } = await changeShared(tx, { scope: 'pool', owner: pool, change, at });
        return { result: { pool, ...result }, audit };
      });
    },
  };
}

function found(pool: PoolRecord | null, name: string): PoolRecord {
  if (pool !== null) return pool;
  throw new BerthError(
    'not_found',
    `There is no pool ${name}: no host and no tenant is in it. A host joins it with "berth host join-token --pool ${name}"; "berth pool list" shows those there are.`,
  );
}
