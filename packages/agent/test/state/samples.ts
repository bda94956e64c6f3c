import type { DesiredState, DesiredTenant, Tombstone } from '@berth/shared/domain/desired';
import { newStatus, type TenantStatus } from '@berth/shared/domain/status';

export const clock = { now: () => 1_700_000_000_000 };

/** A tenant with one service, as small as the schema allows. */
export function tenant(name: string, generation = 1, note = ''): DesiredTenant {
  return {
    tenant: name,
    app: 'shop',
    release: 1,
    generation,
    state: 'running',
    domains: [`${name}.example.com`],
    spec: {
      services: [
        {
          name: 'web',
          image: 'shop:1',
          pullPolicy: 'missing',
          environment: { NOTE: note },
          groupAdd: [],
          init: false,
          tty: false,
          stdinOpen: false,
          stopGraceMs: 10_000,
          volumes: [],
          tmpfs: [],
          limits: { memoryBytes: 1_000_000, cpus: 1, pids: 10 },
          reservation: { memoryBytes: 1_000_000, cpus: 1 },
          ulimits: {},
          sysctls: {},
          extraHosts: {},
          logging: { driver: 'none', options: {} },
          labels: {},
          dependsOn: [],
          replicas: 1,
          restart: 'always',
          strategy: 'blue-green',
          profile: 'restricted',
          drainMs: 0,
        },
      ],
      volumes: [],
      bakeMs: 0,
    },
  };
}

export function tombstone(name: string, generation = 1, state: Tombstone['state'] = 'proposed'): Tombstone {
  return { tenant: name, generation, state };
}

export function desired(
  revision: number,
  tenants: readonly DesiredTenant[],
  tombstones: readonly Tombstone[] = [],
  epoch = 1,
): DesiredState {
  return {
    epoch,
    revision,
    tenants: Object.fromEntries(tenants.map((each) => [each.tenant, each])),
    tombstones: Object.fromEntries(tombstones.map((each) => [each.tenant, each])),
  };
}

export function status(name: string, live: number): TenantStatus {
  return { ...newStatus(name), live, known: [tenant(name, live)] };
}
