import type { DesiredTenant } from '@berth/shared/domain/desired';
import type { RouteTarget, Site, TenantNetwork } from '@berth/shared/domain/network';
import type { ObservedContainer, ObservedHost } from '@berth/shared/domain/observed';
import type { TenantStatus } from '@berth/shared/domain/status';
import type { PlanSettings, TenantPlan } from './input.ts';
import { sameTarget } from './routes.ts';

/** Everything that the plan of a tenant at rest is made from, apart from where its routes lead. */
export interface RestInput {
  settings: PlanSettings;
  desired: DesiredTenant;
  status: TenantStatus | undefined;
  network: TenantNetwork;
  present: boolean;
  containers: readonly ObservedContainer[];
}

/** A tenant with which nothing was to be done, and what that was found out from. */
export interface Rest {
  from: RestInput;
  targets: readonly (readonly [virtual: string, target: RouteTarget | undefined])[];
  plan: TenantPlan;
  sites: readonly Site[];
}

/**
 * What to remember of this plan: null unless it says that what is desired serves and nothing is to be done, whatever time
 * it is. Such a plan needs neither the time nor other tenants' routes.
 */
export function restOf(
  from: RestInput,
  plan: TenantPlan,
  sites: readonly Site[],
  virtuals: ReadonlyMap<string, string>,
  routes: ObservedHost['routes'],
): Rest | null {
  const { goal, steps, nextAt, obstacle } = plan;
  const { desired, status, containers } = from;
  if (goal.kind !== 'keep' || goal.generation !== desired.generation || status === undefined) return null;
  if (status.failure !== null || status.move.kind !== 'idle') return null;
  if (steps.length > 0 || nextAt !== null || obstacle !== null) return null;
  const labelled = containers.flatMap(({ virtual }) => (virtual === null ? [] : [virtual]));
  const addresses = new Set([...virtuals.values(), ...labelled]);
  return { from, targets: [...addresses].map((each) => [each, routes.get(each)]), plan, sites };
}

/**
 * Whether everything is as it was. Objects are compared by identity: what was desired, written down or looked at is never
 * changed in place, and an equal one that is another object only costs a plan.
 */
export function isAtRest(rest: Rest, now: RestInput, routes: ObservedHost['routes']): boolean {
  const { from } = rest;
  return (
    from.desired === now.desired &&
    from.status === now.status &&
    from.network === now.network &&
    from.present === now.present &&
    from.settings === now.settings &&
    sameItems(from.containers, now.containers) &&
    rest.targets.every(([virtual, target]) => leadsTo(target, routes.get(virtual)))
  );
}

function sameItems(a: readonly unknown[], b: readonly unknown[]): boolean {
  return a === b || (a.length === b.length && a.every((each, index) => each === b[index]));
}

function leadsTo(before: RouteTarget | undefined, now: RouteTarget | undefined): boolean {
  return before === now || (before !== undefined && now !== undefined && sameTarget(before, now));
}
