import type { Services } from '../services/index.ts';
import type { Handlers } from './call.ts';

type Names =
  | 'listTenants'
  | 'createTenant'
  | 'showTenant'
  | 'changeTenant'
  | 'planTenant'
  | 'pauseTenant'
  | 'resumeTenant'
  | 'restartTenant'
  | 'deleteTenant'
  | 'explainTenant'
  | 'tenantConfig'
  | 'tenantLogs';

export function tenantHandlers({ tenants, questions }: Services): Pick<Handlers, Names> {
  return {
    listTenants: ({ query, scope }) => tenants.list({ ...query, scope }, query),
    createTenant: ({ body, by }) => tenants.create(by, body),
    showTenant: ({ params }) => tenants.show(params.tenant),
    changeTenant: ({ params, body, by }) => tenants.change(by, params.tenant, body),
    planTenant: ({ params, body }) => questions.plan(params.tenant, body),
    pauseTenant: ({ params, by }) => tenants.pause(by, params.tenant),
    resumeTenant: ({ params, by }) => tenants.resume(by, params.tenant),
    restartTenant: ({ params, by }) => tenants.restart(by, params.tenant),
    deleteTenant: ({ params, by }) => tenants.remove(by, params.tenant),
    explainTenant: ({ params }) => questions.explain(params.tenant),
    tenantConfig: async ({ params }) => ({ values: await questions.config(params.tenant) }),
    tenantLogs: async ({ params, query }) => ({
      lines: await questions.logs(params.tenant, query.service, query.lines),
    }),
  };
}
