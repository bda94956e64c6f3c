import type { Services } from '../services/index.ts';
import type { Handlers } from './call.ts';

type Names =
  | 'planRollout'
  | 'startRollout'
  | 'listRollouts'
  | 'showRollout'
  | 'rolloutTenants'
  | 'pauseRollout'
  | 'resumeRollout'
  | 'approveRollout'
  | 'retryRollout'
  | 'abortRollout'
  | 'rollbackRollout'
  | 'setTenant'
  | 'rollbackTenant'
  | 'decideRelease'
  | 'tenantHistory';

export function rolloutHandlers({ rollouts, tenantReleases }: Services): Pick<Handlers, Names> {
  return {
    planRollout: ({ body }) => rollouts.plan(body),
    startRollout: ({ body, by }) => rollouts.start(by, body),
    listRollouts: ({ query, scope }) => rollouts.list({ ...query, scope }, query),
    showRollout: ({ params }) => rollouts.show(params.rollout),
    rolloutTenants: ({ params, query }) => rollouts.tenants(params.rollout, query, query),
    pauseRollout: ({ params, body, by }) => rollouts.act(by, params.rollout, 'pause', body),
    resumeRollout: ({ params, body, by }) => rollouts.act(by, params.rollout, 'resume', body),
    approveRollout: ({ params, body, by }) => rollouts.act(by, params.rollout, 'approve', body),
    retryRollout: ({ params, body, by }) => rollouts.act(by, params.rollout, 'retry', body),
    abortRollout: ({ params, body, by }) => rollouts.act(by, params.rollout, 'abort', body),
    rollbackRollout: ({ params, body, by }) => rollouts.act(by, params.rollout, 'rollback', body),
    setTenant: ({ params, body, by }) => tenantReleases.settings(by, params.tenant, body),
    rollbackTenant: ({ params, body, by }) => tenantReleases.rollback(by, params.tenant, body),
    decideRelease: ({ params, body, by }) => tenantReleases.decide(by, params.tenant, body),
    tenantHistory: async ({ params, query }) => ({
      items: await tenantReleases.history(params.tenant, query.limit),
    }),
  };
}
