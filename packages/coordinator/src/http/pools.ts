import type { Services } from '../services/index.ts';
import type { Handlers } from './call.ts';

export function poolHandlers({
  pools,
  poolJoins,
  poolSigners,
}: Services): Pick<
  Handlers,
  'listPools' | 'showPool' | 'setPool' | 'setPoolJoin' | 'showPoolSigners' | 'setPoolSigners'
> {
  return {
    listPools: ({ query, scope }) => pools.list({ ...query, scope }),
    showPool: ({ params }) => pools.show(params.pool),
    setPool: ({ params, body, by }) => pools.setVariables(by, params.pool, body.variables),
    showPoolSigners: ({ params }) => poolSigners.show(params.pool),
    setPoolSigners: ({ params, body, by }) => poolSigners.set(by, params.pool, body),
    setPoolJoin: ({ params, body, by }) => poolJoins.set(by, params.pool, body),
  };
}
