import type { DesiredTenant } from '@berth/shared/domain/desired';
import type { ServiceSpec } from '@berth/shared/domain/spec';

/**
 * How a service of a tenant is treated, decided from the whole of the tenant's spec:
 * - `colour`: made anew beside the old one with every generation.
 * - `recreate`: made anew with every generation, the old one stopped first.
 * - `keeper`: stays across generations, replaced in place only when its own spec changed.
 *
 * A service in place that depends on a coloured one would go on talking to the colour it was born with, so it is
 * recreated with every generation instead.
 */
export type Treatment = 'colour' | 'recreate' | 'keeper';

export interface PlannedService {
  spec: ServiceSpec;
  treatment: Treatment;
  /** Runs to its end once instead of staying up. */
  once: boolean;
}

/** What follows from a desired tenant alone, which is never changed in place. The specs in it keep their identity. */
const planned = new WeakMap<DesiredTenant, readonly PlannedService[]>();

/** In dependency order, as the spec has them. */
export function servicesOf(desired: DesiredTenant): readonly PlannedService[] {
  const known = planned.get(desired);
  if (known !== undefined) return known;
  const services = plannedServices(desired);
  planned.set(desired, services);
  return services;
}

function plannedServices(desired: DesiredTenant): PlannedService[] {
  const awaited = new Set(
    desired.spec.services.flatMap((service) =>
      service.dependsOn.filter((on) => on.condition === 'completed').map((on) => on.service),
    ),
  );
  const treatments = new Map<string, Treatment>();
  return desired.spec.services.map((service) => {
    const treatment = treatmentOf(service, treatments);
    treatments.set(service.name, treatment);
    const once = awaited.has(service.name);
    // A job that others wait for must not be started again by Docker when it has done its work.
    return {
      spec: once ? { ...service, restart: 'no' } : service,
      treatment,
      once: once || service.restart !== 'always',
    };
  });
}

function treatmentOf(service: ServiceSpec, before: ReadonlyMap<string, Treatment>): Treatment {
  switch (service.strategy) {
    case 'blue-green':
      return 'colour';
    case 'recreate':
      return 'recreate';
    case 'in-place':
      return service.dependsOn.every((on) => (before.get(on.service) ?? 'keeper') === 'keeper')
        ? 'keeper'
        : 'recreate';
  }
}

/**
 * Which services start together: a service comes one level after all it depends on, and one that must never run twice
 * comes last when nothing waits for it, so that its gap is short.
 */
export function levelsOf(services: readonly PlannedService[]): PlannedService[][] {
  const levels = new Map<string, number>();
  for (const { spec } of services) {
    const above = spec.dependsOn.map((on) => levels.get(on.service) ?? -1);
    levels.set(spec.name, Math.max(-1, ...above) + 1);
  }
  const deepest = Math.max(0, ...levels.values());
  const needed = new Set(services.flatMap(({ spec }) => spec.dependsOn.map((on) => on.service)));
  for (const { spec, treatment } of services) {
    if (treatment === 'recreate' && !needed.has(spec.name)) levels.set(spec.name, deepest + 1);
  }
  const out: PlannedService[][] = [];
  for (let level = 0; level <= deepest + 1; level += 1) {
    const together = services.filter(({ spec }) => levels.get(spec.name) === level);
    if (together.length > 0) out.push(together);
  }
  return out;
}

/** Services that somebody waits for to be healthy or done. */
export function gates(services: readonly PlannedService[]): Set<string> {
  return new Set(
    services.flatMap(({ spec }) =>
      spec.dependsOn.filter((on) => on.condition !== 'started').map((on) => on.service),
    ),
  );
}
