import type { DesiredTenant } from '@berth/shared/domain/desired';
import type { ObservedContainer, ObservedHost } from '@berth/shared/domain/observed';
import { newStatus, type TenantStatus } from '@berth/shared/domain/status';

/**
 * The status of a tenant whose file was lost, from what runs: the generation the kernel's route leads to; without a
 * route the oldest one that is up and not unhealthy, for the youngest may never have been verified. Nothing is
 * restarted by this.
 */
export function adopt(
  tenant: string,
  desired: DesiredTenant | undefined,
  containers: readonly ObservedContainer[],
  routes: ObservedHost['routes'],
): TenantStatus {
  const status = newStatus(tenant);
  const live = routed(containers, routes) ?? oldestGood(containers) ?? keepersOnly(desired, containers);
  if (live === null) return status;
  return { ...status, live, known: desired?.generation === live ? [desired] : [] };
}

function routed(containers: readonly ObservedContainer[], routes: ObservedHost['routes']): number | null {
  const addresses = new Set<string>();
  for (const target of routes.values()) {
    if (target.kind === 'containers')
      for (const endpoint of target.endpoints) addresses.add(endpoint.address);
  }
  const found = containers.filter(
    (each) => each.role === 'colour' && each.state === 'running' && addresses.has(each.address),
  );
  return found.length === 0 ? null : Math.max(...found.map((each) => each.generation));
}

function oldestGood(containers: readonly ObservedContainer[]): number | null {
  const colours = containers.filter((each) => each.role === 'colour');
  const generations = [...new Set(colours.map((each) => each.generation))].sort((a, b) => a - b);
  const good = generations.find((generation) =>
    colours
      .filter((each) => each.generation === generation)
      .every(
        (each) =>
          each.exitCode === 0 ||
          (each.state === 'running' && each.health !== 'unhealthy' && each.health !== 'starting'),
      ),
  );
  return good ?? null;
}

/** A tenant of keepers alone has no colours: what is desired is taken to be what runs. */
function keepersOnly(
  desired: DesiredTenant | undefined,
  containers: readonly ObservedContainer[],
): number | null {
  if (containers.length === 0 || containers.some((each) => each.role === 'colour')) return null;
  const newest = Math.max(...containers.map((each) => each.generation));
  return desired === undefined ? newest : Math.max(newest, desired.generation - 1);
}
