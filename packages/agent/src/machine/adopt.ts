import type { DesiredTenant } from '@berth/shared/domain/desired';
import type { ObservedContainer, ObservedHost } from '@berth/shared/domain/observed';
import { newStatus, type TenantStatus } from '@berth/shared/domain/status';
import { wayBack } from './machine.ts';

/**
 * The status of a tenant whose file was lost, from what runs: the generation the kernel's route leads to; without a
 * route the oldest one that is up and not unhealthy, for the youngest may never have been verified. When that is the
 * desired one it is left to be proven like a new one, which starts nothing that runs already. Nothing is restarted.
 */
export function adopt(
  tenant: string,
  desired: DesiredTenant | undefined,
  containers: readonly ObservedContainer[],
  routes: ObservedHost['routes'],
): TenantStatus {
  const status = newStatus(tenant);
  const route = routed(containers, routes);
  // A keeper takes over the address of the one before, and with it the route, before it has shown its health.
  if (route !== null && (route.through === 'colour' || route.generation !== desired?.generation)) {
    return {
      ...status,
      live: route.generation,
      known: desired?.generation === route.generation ? [desired] : [],
    };
  }
  // Where it has nothing but keepers, there is nobody else to show that it serves.
  if (route !== null && isKept(desired, containers))
    return { ...status, live: desired.generation, known: [desired] };
  const good = oldestGood(containers);
  return good === null || good === desired?.generation ? status : { ...status, live: good };
}

/**
 * A route that leads to the generation under way was switched by an agent that died before it could write that down:
 * the move goes on from there. And a generation that was only taken to serve, since nothing better was there when the
 * status was lost, is to be proven like a new one when it is wanted.
 */
export function recover(
  status: TenantStatus,
  wanted: DesiredTenant | undefined,
  containers: readonly ObservedContainer[],
  routes: ObservedHost['routes'],
  now: number,
): TenantStatus {
  const { move } = status;
  if (move.kind !== 'preparing' && move.kind !== 'idle') return status;
  const route = routed(containers, routes);
  if (route === null && isGuess(status) && wanted?.generation === status.live)
    return { ...status, live: null, move: { kind: 'idle' } };
  if (move.kind !== 'preparing') return status;
  if (route?.through !== 'colour' || route.generation !== move.generation) return status;
  // One that is gone back to may have had the route before; what is not there is made before it is taken to serve.
  const made = status.known.find((each) => each.generation === move.generation);
  if (made !== undefined && !isThere(made, containers)) return status;
  return {
    ...status,
    move: {
      kind: 'switched',
      generation: move.generation,
      from: wayBack(status, move.generation),
      since: now,
    },
  };
}

/** Whether each of the generation's services has as many containers as it should, which run or have done their work. */
function isThere({ generation, spec }: DesiredTenant, containers: readonly ObservedContainer[]): boolean {
  const own = containers.filter(
    (each) =>
      (each.role === 'colour' ? each.generation === generation : each.role === 'keeper') &&
      (each.state === 'running' || each.exitCode === 0),
  );
  return spec.services.every(
    ({ name, replicas }) => own.filter((each) => each.service === name).length >= replicas,
  );
}

/** What an agent has moved to itself, or found a route to, it knows. */
function isGuess({ live, known }: TenantStatus): boolean {
  return live !== null && !known.some((each) => each.generation === live);
}

interface Routed {
  generation: number;
  /** A keeper may serve many generations; it tells no more than the one it was born in. */
  through: 'colour' | 'keeper';
}

function routed(containers: readonly ObservedContainer[], routes: ObservedHost['routes']): Routed | null {
  const addresses = new Set<string>();
  for (const target of routes.values()) {
    if (target.kind === 'containers')
      for (const endpoint of target.endpoints) addresses.add(endpoint.address);
  }
  const found = containers.filter((each) => each.state === 'running' && addresses.has(each.address));
  for (const through of ['colour', 'keeper'] as const) {
    const telling = found.filter((each) => each.role === through);
    if (telling.length > 0)
      return { generation: Math.max(...telling.map((each) => each.generation)), through };
  }
  return null;
}

function isKept(
  desired: DesiredTenant | undefined,
  containers: readonly ObservedContainer[],
): desired is DesiredTenant {
  return (
    desired !== undefined &&
    desired.spec.services.every(({ name }) =>
      containers.some((each) => each.role === 'keeper' && each.service === name && isWell(each)),
    )
  );
}

function oldestGood(containers: readonly ObservedContainer[]): number | null {
  const colours = containers.filter((each) => each.role === 'colour');
  const generations = [...new Set(colours.map((each) => each.generation))].sort((a, b) => a - b);
  const good = generations.find((generation) =>
    colours
      .filter((each) => each.generation === generation)
      .every((each) => each.exitCode === 0 || isWell(each)),
  );
  return good ?? null;
}

function isWell(container: ObservedContainer): boolean {
  return container.state === 'running' && (container.health === 'none' || container.health === 'healthy');
}
