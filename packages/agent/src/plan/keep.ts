import type { RouteEntry } from '@berth/shared/domain/network';
import type { ObservedContainer, ObservedHost } from '@berth/shared/domain/observed';
import type { ContainerPlan, Step } from '@berth/shared/domain/step';
import { certainMembers, isUp, membersOf, refsOf, replacedKeepers, strayKeepers } from './containers.ts';
import { entriesOf, namesOf, type Generation, type PlannedContainer } from './generation.ts';
import { haltSteps, stopSteps, unroute } from './move.ts';
import type { TenantView } from './view.ts';
import { isPending } from './release.ts';
import { after, changedEntries } from './routes.ts';
import { gates, levelsOf } from './services.ts';

/**
 * Keeps what serves as it should be: brings back what is missing, puts back a lost route, clears away what is left over.
 * `generation` is null when nobody remembers what the live one was made of; then what exists is all that can be kept.
 */
export function keepSteps(
  view: TenantView,
  live: number | null,
  generation: Generation | null,
  routes: ObservedHost['routes'],
): Step[] {
  const tenant = view.status.tenant;
  const stay = new Set(live === null ? [] : membersOf(view.containers, live).map((each) => each.id));
  if (live !== null && generation !== null)
    for (const each of strayKeepers(view.containers, live, namesOf(generation))) stay.delete(each.id);
  // A move that failed may have brought back the one before; what it was to replace comes back in its stead.
  if (live !== null && generation === null)
    for (const each of replacedKeepers(view.containers, live)) if (isUp(each)) stay.delete(each.id);
  const lost = generation === null ? [] : lostOf(view, generation);
  const resumed = live === null || generation !== null ? [] : downOf(view, live);
  // Where something comes back that must not run beside another, or holds a volume, nothing that does not serve is left
  // to do so.
  const alone =
    resumed.length > 0 ||
    lost.some(({ plan, treatment }) => treatment !== 'colour' || plan.spec.volumes.length > 0);
  const first = (each: ObservedContainer): boolean => live === null || (alone && !isDraining(view, each));
  // Otherwise the route, which may lead to what failed, leaves that before it stops.
  const gone = view.containers.filter((each) => !stay.has(each.id));
  const steps: Step[] = [...unroute(view, gone), ...clearAway(view, stay, first, 'before')];
  if (live !== null) {
    const wanted = generation === null ? entriesOfExisting(view, live) : entriesOf(generation, view.virtuals);
    const fewer = withoutLost(wanted, lost);
    const hiding = changedEntries(fewer, routes);
    if (hiding.length > 0) steps.push({ kind: 'route.switch', tenant, generation: live, entries: hiding });
    steps.push(
      ...(generation === null ? resumeWhatExists(view, resumed) : bringBack(view, live, generation, lost)),
    );
    const changed = changedEntries(wanted, after(routes, fewer));
    if (changed.length > 0) {
      if (generation === null) steps.push(...settleRouted(view, live));
      steps.push({ kind: 'route.switch', tenant, generation: live, entries: changed });
    }
  }
  if (live !== null) steps.push(...clearAway(view, stay, first, 'after'));
  return steps;
}

function lostOf(view: TenantView, generation: Generation): PlannedContainer[] {
  const byName = new Map(view.containers.map((each) => [each.name, each]));
  return generation.containers.filter(({ plan, once }) => {
    const container = byName.get(plan.name);
    if (container === undefined) return true;
    if (isUp(container) || container.state === 'removing') return false;
    // A job that has done its work, or a service that is allowed to end, is not missing.
    return !(
      once &&
      container.state === 'exited' &&
      (container.exitCode === 0 || plan.spec.restart === 'no')
    );
  });
}

/**
 * The routes that can do without their lost containers, without them: the copies that are left serve alone until the
 * others are healthy again.
 */
function withoutLost(entries: readonly RouteEntry[], lost: readonly PlannedContainer[]): RouteEntry[] {
  const gone = new Set(lost.map(({ plan }) => plan.address));
  return entries.flatMap(({ virtual, target }): RouteEntry[] => {
    if (target.kind !== 'containers') return [];
    const endpoints = target.endpoints.filter((each) => !gone.has(each.address));
    const some = endpoints.length > 0 && endpoints.length < target.endpoints.length;
    return some ? [{ virtual, target: { kind: 'containers', endpoints } }] : [];
  });
}

function bringBack(
  view: TenantView,
  live: number,
  generation: Generation,
  lost: readonly PlannedContainer[],
): Step[] {
  const tenant = view.status.tenant;
  const byName = new Map(view.containers.map((each) => [each.name, each]));
  if (lost.length === 0) return [];
  const containers = lost.map(({ plan }) => plan);
  const of = { tenant, generation: live };
  const steps: Step[] = [];
  if (view.networkState === 'missing') steps.push({ kind: 'network.ensure', tenant, network: view.network });
  const missing = containers.filter((plan) => !byName.has(plan.name));
  for (const image of new Set(missing.map((plan) => plan.spec.image))) {
    steps.push({ kind: 'image.ensure', ...of, image, pullPolicy: 'missing' });
  }
  if (missing.some((plan) => plan.spec.volumes.length > 0)) {
    steps.push({ kind: 'volume.ensure', tenant, volumes: generation.desired.spec.volumes });
  }
  const gating = gates(generation.services);
  let unproven: ContainerPlan[] = [];
  const probe = (): void => {
    if (unproven.length > 0) steps.push({ kind: 'containers.probe', ...of, containers: unproven });
    unproven = [];
  };
  // After a pause all of them come back, in the order in which they need each other.
  for (const level of levelsOf(generation.services)) {
    const names = new Set(level.map(({ spec }) => spec.name));
    const together = containers.filter((plan) => names.has(plan.service));
    if (together.length === 0) continue;
    steps.push({ kind: 'containers.start', ...of, containers: together });
    unproven.push(...together);
    if (together.some((plan) => gating.has(plan.service))) probe();
  }
  probe();
  return steps;
}

function downOf(view: TenantView, live: number): ObservedContainer[] {
  return certainMembers(view.containers, live).filter(
    (each) => !isUp(each) && each.state !== 'removing' && !(each.state === 'exited' && each.exitCode === 0),
  );
}

function resumeWhatExists(view: TenantView, down: readonly ObservedContainer[]): Step[] {
  if (down.length === 0) return [];
  const containers = refsOf(down);
  return [
    { kind: 'containers.resume', tenant: view.status.tenant, containers },
    { kind: 'containers.settle', tenant: view.status.tenant, containers, timeoutMs: SETTLE_MS },
  ];
}

/** Nobody remembers that these were verified, so they show their health before a route leads to them. */
function settleRouted(view: TenantView, live: number): Step[] {
  const routed = certainMembers(view.containers, live).filter((each) => each.virtual !== null);
  const containers = refsOf(routed);
  return [{ kind: 'containers.settle', tenant: view.status.tenant, containers, timeoutMs: SETTLE_MS }];
}

/** How long an old colour may take to answer again. */
export const SETTLE_MS = 60_000;

/** Where the routes of a generation lead, read from its containers' labels. */
export function entriesOfExisting(view: TenantView, generation: number): RouteEntry[] {
  const entries = new Map<string, RouteEntry>();
  for (const each of certainMembers(view.containers, generation)) {
    if (each.virtual === null || each.port === null) continue;
    const endpoint = { address: each.address, port: each.port };
    const entry = entries.get(each.virtual);
    if (entry?.target.kind === 'containers') entry.target.endpoints.push(endpoint);
    else
      entries.set(each.virtual, {
        virtual: each.virtual,
        target: { kind: 'containers', endpoints: [endpoint] },
      });
  }
  return [...entries.values()];
}

/** Came after what serves, or beside it, and holds what that needs. */
function isRival(view: TenantView, container: ObservedContainer): boolean {
  return container.generation > (view.status.live ?? 0) && !isDraining(view, container);
}

/** Of the generation that served before the one that bakes: its connections may end by themselves. */
function isDraining(view: TenantView, container: ObservedContainer): boolean {
  const { move } = view.status;
  return container.role === 'colour' && move.kind === 'baking' && container.generation === move.from;
}

/**
 * Stops and removes those containers that are no part of what serves, `before` that is brought back or `after`. Volumes
 * stay, and so does the container of a release command until it is written down how it ended.
 */
function clearAway(
  view: TenantView,
  stay: ReadonlySet<string>,
  first: (container: ObservedContainer) => boolean,
  when: 'before' | 'after',
): Step[] {
  const { tenant, live } = view.status;
  const kept = view.status.move.kind === 'baking' ? view.status.move.from : null;
  const extra = view.containers.filter(
    (each) => first(each) === (when === 'before') && !stay.has(each.id) && each.state !== 'removing',
  );
  const running = extra.filter(isUp);
  // A younger keeper holds the address that the route leads to, so connections would come for as long as one waits for
  // their end; the one before cannot come back until it has gone.
  const givenUp = running.every((each) => isRival(view, each));
  const why =
    live === null ? 'it never served' : givenUp ? 'its generation was given up' : 'it no longer serves';
  const steps = when === 'after' ? stopSteps(tenant, running, why) : haltSteps(tenant, running, why);
  const gone = extra.filter((each) => !isKept(each, kept) && !isPending(view, each));
  if (gone.length > 0)
    steps.push({ kind: 'containers.remove', tenant, containers: refsOf(gone), why: 'no longer needed' });
  return steps;
}

/** While the new generation bakes, the one before stays, stopped, with the keepers that it used. */
function isKept(container: ObservedContainer, kept: number | null): boolean {
  return (
    kept !== null &&
    (container.generation === kept || (container.role === 'keeper' && container.generation < kept))
  );
}
