import type { PoolJoin, SetPoolJoin } from '@berth/shared/api/enrolment';
import type { z } from 'zod';
import type { ServiceContext } from './context.ts';
import type { Actor } from './records.ts';

export interface PoolJoins {
  /** Says which machines may join a pool by themselves. The pool need not be there yet: its first host makes it. */
  set(by: Actor, pool: string, given: z.output<typeof SetPoolJoin>): Promise<z.infer<typeof PoolJoin>>;
}

export function createPoolJoins({ store, clock }: Pick<ServiceContext, 'store' | 'clock'>): PoolJoins {
  return {
    async set(by, pool, { aws }) {
      const at = clock.now();
      return await store.mutate<z.infer<typeof PoolJoin>>(by, at, async (tx) => {
        const before = await tx.joinRule(pool);
        if (JSON.stringify(before) === JSON.stringify(aws))
          return { result: { pool, aws, result: 'unchanged' }, audit: null };
        await tx.setJoinRule(pool, aws, at);
        return {
          result: { pool, aws, result: 'changed' },
          audit: { action: 'pool.join-changed', subject: pool, before: { aws: before }, after: { aws } },
        };
      });
    },
  };
}
