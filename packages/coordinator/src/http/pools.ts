import type { Services } from '../services/index.ts';
import type { Handlers } from './call.ts';

export function poolHandlers({
  pools,
  poolJoins,
}: Services): Pick<Handlers, 'listPools' | 'showPool' | 'setPool' | 'setPoolJoin'> {
  return {
    listPools: ({ query, scope }) => pools.list({ ...query, scope }),
    showPool: ({ params }) => pools.show(params.pool),
    setPool: ({ params, body, by }) => pools.setVariables(by, params.pool, body.variables),
    setPoolJoin: ({ params, body, by }) => poolJoins.set(by, params.pool, body),
  };
}
