import type { DesiredState, DesiredTenant } from '@berth/shared/domain/desired';
import type { ServiceSpec } from '@berth/shared/domain/spec';
import { serviceSpec } from '../../../../test/fakes/service-spec.ts';

export { serviceSpec };

export const webRoute = { port: 8080, path: '/', health: '/' };

export function desiredTenant(
  tenant: string,
  generation: number,
  change: Partial<DesiredTenant> & { services?: ServiceSpec[] } = {},
): DesiredTenant {
  const { services, ...rest } = change;
  return {
    tenant,
    app: 'shop',
    release: 1,
    generation,
    state: 'running',
    domains: [`${tenant}.example.com`],
    spec: {
      services: services ?? [serviceSpec('web', { route: webRoute }), serviceSpec('worker')],
      volumes: [],
      bakeMs: 60_000,
    },
    ...rest,
  };
}

export function desiredState(
  tenants: readonly DesiredTenant[],
  change: Partial<DesiredState> = {},
): DesiredState {
  return {
    epoch: 1,
    revision: 1,
    tenants: Object.fromEntries(tenants.map((each) => [each.tenant, each])),
    tombstones: {},
    ...change,
  };
}

export const settings = {
  agent: 'a1',
  virtualCidr: '198.18.0.0/20',
  tenantCidr: '198.19.0.0/20',
  tenantPrefix: 26,
  bridgePrefix: 'bt-',
};
