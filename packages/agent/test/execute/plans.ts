import type { ContainerPlan } from '@berth/shared/domain/step';
import { serviceSpec } from '../../../../test/fakes/service-spec.ts';

/** A container plan for unit tests. */
export function planWith(
  spec: Partial<ContainerPlan['spec']> = {},
  more: Partial<ContainerPlan> = {},
): ContainerPlan {
  return {
    name: 'a1-acme-g1-web-1',
    tenant: 'acme',
    app: 'shop',
    release: 3,
    generation: 1,
    service: 'web',
    replica: 1,
    role: 'colour',
    specHash: 'abc',
    network: 'a1-acme',
    address: '198.19.0.10',
    hosts: {},
    ...more,
    spec: serviceSpec('web', {
      image: 'shop:1',
      limits: { memoryBytes: 64 * 1024 * 1024, cpus: 0.5, pids: 64 },
      reservation: { memoryBytes: 1, cpus: 0.1 },
      drainMs: 5_000,
      ...spec,
    }),
  };
}
