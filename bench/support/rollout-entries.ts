import { parseCompose, renderFor } from '@berth/coordinator/services/templates';
import type { DesiredTenant } from '@berth/shared/domain/desired';
import { digestOf } from '@berth/shared/domain/digest';
import { hostId } from './link-messages.ts';
import { APP, WARM_APP, WARM_TENANTS, type FleetShape } from './rollout-messages.ts';

export interface Place {
  app: string;
  tenant: string;
  host: string;
}

/** All tenants of the bench and where they are: those that are measured, then those of the app to become warm with. */
export function placesOf({ tenants, agents }: FleetShape): Place[] {
  const of = (app: string, count: number): Place[] =>
    Array.from({ length: count }, (_, index) => ({
      app,
      tenant: `${app}-${index}`,
      host: hostId(index % agents),
    }));
  return [...of(APP, tenants), ...of(WARM_APP, WARM_TENANTS)];
}

/** Two services as they come: a routed one and a worker, pinned to digests. */
export function composeOf(app: string, release: number): string {
  const service = (name: string): string => `  ${name}:
    image: registry.example.com/${app}-${name}@sha256:${digestOf({ app, name, release })}
    command: [/app/${name}]
    environment:
      DATABASE_URL: "postgres://database/\${BERTH_TENANT}"
      STORE: "\${BERTH_TENANT}"
      VERSION: "${release}"
    deploy: { resources: { limits: { memory: 256M, cpus: '0.5' }, reservations: { memory: 16M, cpus: '0.01' } } }
`;
  return `name: ${app}
services:
${service('web')}    x-berth: { route: { port: 8080 }, drain: 30s }
${service('worker')}x-berth: { bake: 2m }
`;
}

/** Renders what is desired of a tenant; its release is its generation. */
export function entriesOf(): (place: Place, release: number) => DesiredTenant {
  const templates = new Map<string, ReturnType<typeof parseCompose>['template']>();
  return ({ app, tenant }, release) => {
    const key = `${app} ${release}`;
    const template = templates.get(key) ?? parseCompose(composeOf(app, release), {}).template;
    templates.set(key, template);
    const { spec } = renderFor(tenant, template, { BERTH_TENANT: tenant });
    const domains = [`${tenant}.example.com`];
    return { tenant, app, release, generation: release, state: 'running', domains, spec };
  };
}
