import type { DesiredTenant, Tombstone } from '@berth/shared/domain/desired';
import type { RouteEntry, RouteTarget } from '@berth/shared/domain/network';
import type { ObservedContainer, ObservedHost } from '@berth/shared/domain/observed';
import type { TenantStatus } from '@berth/shared/domain/status';
import type { Step } from '@berth/shared/domain/step';
import { virtualAddresses } from './addresses.ts';
import { certainMembers, isUp, membersOf, refsOf, sharesVolume } from './containers.ts';
import { makeGeneration, type Generation } from './generation.ts';
import type { PlanSettings, TenantPlan } from './input.ts';
import { entriesOfExisting, keepSteps, SETTLE_MS } from './keep.ts';
import { abandoned, checksOf, finishSteps, moveSteps, stopSteps } from './move.ts';
import type { TenantView } from './view.ts';
import { awaitSteps } from './release.ts';
import { mendedEntries } from './nobody.ts';
import { after, changedEntries, unservedEntries } from './routes.ts';
import { servicesOf } from './services.ts';
import { isWhole } from './whole.ts';

/** What to do for one tenant that is desired. */
export function planTenant(
  settings: PlanSettings,
  desired: DesiredTenant,
  view: TenantView,
  routes: ObservedHost['routes'],
  now: number,
): TenantPlan {
  const made = planGoal(settings, desired, view, routes, now);
  const entries = mendedEntries(view);
  const { goal } = made;
  // These two take all routes somewhere else, first of all.
  const leaves = goal.kind === 'pause' || (goal.kind === 'return' && goal.to === null);
  if (entries.length === 0 || leaves) return made;
  const { tenant } = desired;
  // A switch is proven by its verification, which sees that somebody is missing.
  const { steps } =
    goal.kind === 'finish' ? made : planGoal(settings, desired, view, after(routes, entries), now);
  const mend: Step = { kind: 'route.switch', tenant, generation: null, entries, because: 'gone' };
  return { ...made, steps: [mend, ...steps] };
}

function planGoal(
  settings: PlanSettings,
  desired: DesiredTenant,
  view: TenantView,
  routes: ObservedHost['routes'],
  now: number,
): TenantPlan {
  const { status } = view;
  const tenant = desired.tenant;
  let obstacle: TenantPlan['obstacle'] = null;
  const generationOf = (
    which: DesiredTenant,
    leaving: readonly ObservedContainer[] = [],
  ): Generation | null => {
    const result = makeGeneration(settings, which, view, leaving);
    if (result.kind === 'made') return result.generation;
    obstacle = {
      code: 'address_exhausted',
      message: `Tenant ${tenant} needs ${result.needed} more addresses than its network ${view.network.subnet} has left; run fewer replicas, or give this agent's tenants larger networks (tenantPrefix).`,
    };
    return null;
  };
  const remembered = (generation: number): Generation | null => {
    const known =
      desired.generation === generation
        ? desired
        : status.known.find((each) => each.generation === generation);
    return known === undefined ? null : generationOf(known);
  };
  const { move } = status;

  // A route that was switched is first brought to an end, whatever is wanted by now.
  if (move.kind === 'switched') {
    const generation = remembered(move.generation);
    if (generation !== null) {
      return {
        tenant,
        goal: { kind: 'finish', generation: move.generation },
        steps: finishSteps(view, generation, routes),
        nextAt: null,
        obstacle,
      };
    }
  }
  // The way back is left only for something else than what failed and what served before it.
  if (move.kind === 'returning' && isOnWayBack(move, desired, view)) {
    const known = [desired, ...status.known];
    const to = known.find((each) => each.generation === move.to);
    const failed = known.find((each) => each.generation === move.generation);
    return {
      tenant,
      goal: { kind: 'return', generation: move.generation, to: move.to },
      steps: returnSteps(view, move.to, to ?? null, failed ?? desired),
      nextAt: null,
      obstacle,
    };
  }
  if (desired.state === 'paused') {
    const awaited = awaitSteps(view, remembered, 'pause');
    const steps = awaited.length > 0 ? awaited : pauseSteps(view, routes);
    return { tenant, goal: { kind: 'pause' }, steps, nextAt: null, obstacle };
  }

  const { failure } = status;
  const held =
    failure?.generation === desired.generation && (failure.retryAt === null || now < failure.retryAt);
  const moves = status.live !== desired.generation && !held;
  // Its own command is a step of its move.
  const awaited = awaitSteps(view, remembered, 'change').filter(
    (step) => !moves || step.generation !== desired.generation,
  );
  if (awaited.length > 0)
    return {
      tenant,
      goal: { kind: 'await', generation: desired.generation },
      steps: awaited,
      nextAt: null,
      obstacle,
    };
  if (moves) {
    const generation = generationOf(desired, abandoned(view, desired.generation));
    if (generation !== null) {
      return {
        tenant,
        goal: { kind: 'move', generation: desired.generation },
        steps: moveSteps(view, generation),
        nextAt: null,
        obstacle,
      };
    }
  }
  const nextAt = soonest(
    held ? (failure?.retryAt ?? null) : null,
    move.kind === 'baking' ? move.until : null,
  );
  const live = status.live;
  const steps =
    live !== null && isConverged(view, live, desired, routes)
      ? []
      : keepSteps(view, live, live === null ? null : remembered(live), routes);
  return { tenant, goal: { kind: 'keep', generation: live }, steps, nextAt, obstacle };
}

/**
 * The usual case of a sweep, told from labels alone: every service of the live generation is up in the right number,
 * every route leads to it, nothing is left over.
 */
function isConverged(
  view: TenantView,
  live: number,
  desired: DesiredTenant,
  routes: ObservedHost['routes'],
): boolean {
  if (desired.generation !== live || view.status.move.kind !== 'idle') return false;
  const members = membersOf(view.containers, live);
  if (members.length !== view.containers.length || !members.every(isUp)) return false;
  const expected = desired.spec.services.reduce((sum, service) => sum + service.replicas, 0);
  if (members.length !== expected) return false;
  const entries = entriesOfExisting(view, live);
  const routed = desired.spec.services.filter((service) => service.route !== undefined).length;
  return entries.length === routed && changedEntries(entries, routes).length === 0;
}

/**
 * When nothing is left of what was to come back, because it was taken back too late, it is made anew. Where it serves
 * already in part, it is left to come back as it is.
 */
function isOnWayBack(
  move: Extract<TenantStatus['move'], { kind: 'returning' }>,
  desired: DesiredTenant,
  view: TenantView,
): boolean {
  if (move.generation === desired.generation) return true;
  if (move.to !== desired.generation) return false;
  return view.status.live === move.to || isWhole(desired, view.containers);
}

/** Back to the old colour: start what stopped, wait, switch, verify; then the new one goes. */
function returnSteps(
  view: TenantView,
  to: number | null,
  remembered: DesiredTenant | null,
  failed: DesiredTenant,
): Step[] {
  const { tenant } = view.status;
  if (to === null) {
    const entries = allTo(view, { kind: 'none' });
    return [{ kind: 'route.switch', tenant, generation: null, entries }];
  }
  const known = remembered ?? failed;
  const steps: Step[] = [];
  const existing = remembered === null ? view.containers : withoutStrays(view.containers, remembered);
  const members = remembered === null ? certainMembers(existing, to) : membersOf(existing, to);
  const staying = new Set(members.map((each) => each.id));
  // Another keeper holds the same address and the same volume; what must never run twice must not do so now either.
  // Where nobody remembers what that is, all of it is stopped.
  const once = new Set(
    // What failed may hold a volume under a name that the one before does not know.
    [...known.spec.services, ...failed.spec.services]
      .filter((each) => each.strategy !== 'blue-green')
      .map((each) => each.name),
  );
  const rivals = view.containers.filter(
    (each) =>
      !staying.has(each.id) &&
      isUp(each) &&
      each.role !== 'release' &&
      (each.role === 'keeper' ||
        remembered === null ||
        once.has(each.service) ||
        // What was begun before the one that is given up, under yet another name.
        members.some((member) => sharesVolume(each, member))),
  );
  if (rivals.length > 0) {
    steps.push({
      kind: 'containers.stop',
      tenant,
      containers: refsOf(rivals),
      why: 'the one before comes back',
    });
  }
  const down = members.filter(
    (each) =>
      !isUp(each) &&
      !(
        each.state === 'exited' &&
        each.exitCode === 0 &&
        each.virtual === null &&
        isJob(known, each.service)
      ),
  );
  if (down.length > 0) steps.push({ kind: 'containers.resume', tenant, containers: refsOf(down) });
  if (members.length > 0) {
    const settling = members.filter((each) => !isJob(known, each.service));
    steps.push({ kind: 'containers.settle', tenant, containers: refsOf(settling), timeoutMs: SETTLE_MS });
  }
  const entries = new Map(allTo(view, { kind: 'none' }).map((entry) => [entry.virtual, entry]));
  const routes = (remembered?.spec.services ?? []).flatMap(({ route }) =>
    route === undefined ? [] : [route],
  );
  if (remembered !== null)
    for (const entry of unservedEntries(view.virtuals, routes)) entries.set(entry.virtual, entry);
  for (const entry of entriesOfExisting({ ...view, containers: existing }, to))
    entries.set(entry.virtual, entry);
  steps.push({ kind: 'route.switch', tenant, generation: to, entries: [...entries.values()] });
  steps.push({ kind: 'route.verify', tenant, generation: to, checks: checksOf(known, view.virtuals) });
  return steps;
}

/** Without keepers that this generation has no place for: it did not use them, and must not wake them. */
function withoutStrays(
  containers: readonly ObservedContainer[],
  remembered: DesiredTenant,
): ObservedContainer[] {
  const keepers = new Map(
    servicesOf(remembered)
      .filter((service) => service.treatment === 'keeper')
      .map(({ spec }) => [spec.name, spec.replicas]),
  );
  return containers.filter(
    (each) => each.role !== 'keeper' || each.replica <= (keepers.get(each.service) ?? 0),
  );
}

function isJob(desired: DesiredTenant, service: string): boolean {
  return desired.spec.services.some((each) =>
    each.dependsOn.some((on) => on.service === service && on.condition === 'completed'),
  );
}

/** Routes to the maintenance page, connections drained, everything stopped and kept. */
function pauseSteps(view: TenantView, routes: ObservedHost['routes']): Step[] {
  const { tenant } = view.status;
  const steps: Step[] = [];
  const changed = changedEntries(allTo(view, { kind: 'maintenance' }), routes);
  if (changed.length > 0) steps.push({ kind: 'route.switch', tenant, generation: null, entries: changed });
  const running = view.containers.filter(isUp);
  steps.push(...stopSteps(tenant, running, 'the tenant is paused'));
  return steps;
}

/** What a confirmed tombstone asks for; nothing is left to do once containers and network are gone. */
export function removeSteps(
  settings: PlanSettings,
  tombstone: Tombstone,
  view: TenantView,
  routes: ObservedHost['routes'],
): Step[] {
  const { tenant } = tombstone;
  const remembered = (generation: number): Generation | null => {
    const known = view.status.known.find((each) => each.generation === generation);
    if (known === undefined) return null;
    const result = makeGeneration(settings, known, view);
    return result.kind === 'made' ? result.generation : null;
  };
  const awaited = awaitSteps(view, remembered, 'removal');
  if (awaited.length > 0) return awaited;
  const steps: Step[] = [];
  const virtuals = new Set(view.containers.flatMap((each) => (each.virtual === null ? [] : [each.virtual])));
  // Of a route that it once had, the kernel may still know that nothing is routed there.
  for (const virtual of virtualAddresses(settings, view.network))
    if (routes.has(virtual)) virtuals.add(virtual);
  const entries = [...virtuals].map((virtual): RouteEntry => ({ virtual, target: { kind: 'none' } }));
  const changed = changedEntries(entries, routes);
  if (changed.length > 0) steps.push({ kind: 'route.switch', tenant, generation: null, entries: changed });
  steps.push(...stopSteps(tenant, view.containers.filter(isUp), 'the tenant is removed'));
  if (view.containers.length > 0) {
    steps.push({
      kind: 'containers.remove',
      tenant,
      containers: refsOf(view.containers),
      why: 'the tenant is removed',
    });
  }
  if (view.networkState === 'present') steps.push({ kind: 'network.remove', tenant, network: view.network });
  return steps;
}

function allTo(view: TenantView, target: RouteTarget): RouteEntry[] {
  return [...new Set(view.virtuals.values())].sort().map((virtual) => ({ virtual, target }));
}

function soonest(...times: readonly (number | null)[]): number | null {
  return times.reduce<number | null>(
    (best, time) => (time === null ? best : best === null ? time : Math.min(best, time)),
    null,
  );
}
