import type { DesiredTenant } from '@berth/shared/domain/desired';
import type { ObservedContainer, ObservedHost } from '@berth/shared/domain/observed';
import type { ContainerPlan, Step } from '@berth/shared/domain/step';
import { drainOf, isUp, membersOf, refsOf } from './containers.ts';
import { entriesOf, namesOf, type Generation, type PlannedContainer } from './generation.ts';
import { releaseSteps, untoldSteps } from './release.ts';
import { changedEntries, routeKey } from './routes.ts';
import { gates, levelsOf, servicesOf, type PlannedService } from './services.ts';
import type { TenantView } from './view.ts';

/** Everything that is left to do to bring a tenant to a new generation, from wherever it stands. */
export function moveSteps(given: TenantView, generation: Generation): Step[] {
  const { desired } = generation;
  const of = { tenant: desired.tenant, generation: desired.generation };
  const steps: Step[] = [];

  const early = untoldSteps(given, generation);
  if (early !== null) return early;
  const aborted = abandoned(given, desired.generation);
  const view = { ...given, containers: given.containers.filter((each) => !aborted.includes(each)) };
  if (aborted.length > 0) {
    const why = 'its generation was given up';
    steps.push(...unroute(given, aborted));
    steps.push(...haltSteps(of.tenant, aborted.filter(isUp), why));
    steps.push({ kind: 'containers.remove', tenant: of.tenant, containers: refsOf(aborted), why });
  }
  if (view.networkState === 'missing')
    steps.push({ kind: 'network.ensure', tenant: of.tenant, network: view.network });

  const existing = new Set(view.containers.map((container) => container.name));
  const fresh = generation.containers.filter(({ plan }) => !existing.has(plan.name));
  if (fresh.length > 0) {
    const memoryBytes = fresh.reduce((sum, { plan }) => sum + plan.spec.reservation.memoryBytes, 0);
    steps.push({ kind: 'preflight', ...of, memoryBytes, diskBytes: 0 });
    for (const [image, pullPolicy] of imagesOf(fresh))
      steps.push({ kind: 'image.ensure', ...of, image, pullPolicy });
    if (desired.spec.volumes.length > 0)
      steps.push({ kind: 'volume.ensure', tenant: of.tenant, volumes: desired.spec.volumes });
  }

  steps.push(...secretSteps(of, [...fresh.map(({ plan }) => plan), ...releasePlan(view, generation)]));
  steps.push(...keeperSteps(view, generation));
  steps.push(...releaseSteps(view, generation));
  steps.push(...colourSteps(view, generation));
  steps.push(...switchSteps(view, generation));
  const stopped = new Set(
    steps.flatMap((step) => (step.kind === 'containers.stop' ? step.containers.map((each) => each.id) : [])),
  );
  const left = view.containers.filter((each) => !stopped.has(each.id));
  steps.push(...retireSteps({ ...view, containers: left }, generation));
  return steps;
}

/** What is to be made must not fail for want of a secret once something was stopped for it. */
export function secretSteps(
  of: { tenant: string; generation: number },
  plans: readonly ContainerPlan[],
): Step[] {
  const containers = plans.filter(({ spec }) => spec.secrets !== undefined || spec.secretEnv !== undefined);
  return containers.length === 0 ? [] : [{ kind: 'secrets.open', ...of, containers }];
}

function releasePlan(view: TenantView, { release }: Generation): ContainerPlan[] {
  if (release === null) return [];
  const { plan, key } = release;
  const done = view.status.released.some((each) => each.key === key && each.outcome === 'succeeded');
  return done || view.containers.some((each) => each.name === plan.name) ? [] : [plan];
}

/** From a route that was switched but not verified: the rest of the way. */
export function finishSteps(
  view: TenantView,
  generation: Generation,
  routes: ObservedHost['routes'],
): Step[] {
  const { desired } = generation;
  const of = { tenant: desired.tenant, generation: desired.generation };
  const steps: Step[] = [];
  const lost = changedEntries(entriesOf(generation, view.virtuals), routes);
  if (lost.length > 0) {
    steps.push({
      kind: 'containers.probe',
      ...of,
      containers: generation.containers.map(({ plan }) => plan),
    });
    steps.push({ kind: 'route.switch', ...of, entries: lost });
  }
  steps.push({ kind: 'route.verify', ...of, checks: checksOf(desired, view.virtuals) });
  return [...steps, ...retireSteps(view, generation)];
}

/**
 * Containers of generations that were begun and never served: nobody talks to them. Of a generation that is gone back to,
 * also what is left of the time when it served: half a set knows the addresses of containers that are no more.
 */
export function abandoned(view: TenantView, target: number): ObservedContainer[] {
  const { live, move } = view.status;
  const floor = live ?? 0;
  const begun = move.kind === 'preparing' ? move.generation : null;
  const serving = new Set(
    view.containers
      .filter((each) => isUp(each) && view.routed.has(each.address))
      .map((each) => each.generation),
  );
  return view.containers.filter((each) => {
    if (each.generation === target) {
      const leftOver = target < floor && begun !== target && !serving.has(target);
      return leftOver && each.role === 'colour' && !isUp(each);
    }
    return (
      (each.generation > floor || each.generation === begun) &&
      !serving.has(each.generation) &&
      each.generation !== live
    );
  });
}

/** Takes away routes that only these containers have, while their labels still tell of them. */
export function unroute(view: TenantView, leaving: readonly ObservedContainer[]): Step[] {
  const staying = view.containers.filter((each) => !leaving.includes(each));
  const wanted = new Set(staying.map((each) => each.virtual));
  const stale = leaving.flatMap(({ virtual, address }) =>
    virtual !== null && !wanted.has(virtual) && view.routed.has(address) ? [virtual] : [],
  );
  const entries = [...new Set(stale)]
    .sort()
    .map((virtual) => ({ virtual, target: { kind: 'none' } as const }));
  const { tenant } = view.status;
  return entries.length === 0 ? [] : [{ kind: 'route.switch', tenant, generation: null, entries }];
}

function imagesOf(
  containers: readonly PlannedContainer[],
): Map<string, PlannedContainer['plan']['spec']['pullPolicy']> {
  const images = new Map<string, PlannedContainer['plan']['spec']['pullPolicy']>();
  for (const { plan } of containers) images.set(plan.spec.image, plan.spec.pullPolicy);
  return images;
}

/** Keepers that changed are replaced where they are: the old one stops, its name and address live on in the new one. */
function keeperSteps(view: TenantView, generation: Generation): Step[] {
  const { desired } = generation;
  const of = { tenant: desired.tenant, generation: desired.generation };
  const steps: Step[] = [];
  const keepers = generation.services.filter((service) => service.treatment === 'keeper');
  const stopped = new Set<string>();
  const verified = verifiedKeepers(view);
  for (const level of levelsOf(keepers)) {
    const planned = ofServices(generation, level);
    const running = new Set(
      view.containers.filter((each) => each.state === 'running').map((each) => each.name),
    );
    // What runs already and is no part of what was verified may have been started by an agent that died before it was
    // healthy.
    const wanted = planned.filter(
      ({ plan }) =>
        !running.has(plan.name) || !verified.has(plan.name) || plan.generation === desired.generation,
    );
    if (wanted.length === 0) continue;
    const names = new Set(planned.map(({ plan }) => plan.name));
    const old = view.containers.filter(
      (each) =>
        isUp(each) &&
        !names.has(each.name) &&
        level.some(({ spec }) => spec.name === each.service) &&
        !isHarmlessBeside(view, each),
    );
    old.push(...forerunners(view, generation, level).filter((each) => !stopped.has(each.id)));
    for (const each of old) stopped.add(each.id);
    // Also where the old one had already ended by itself, and the route still leads to its address.
    const awaited = new Set(wanted.flatMap(({ plan }) => (running.has(plan.name) ? [] : [plan.address])));
    const hidden = new Set(
      view.containers.flatMap((each) =>
        each.virtual !== null &&
        view.routed.has(each.address) &&
        (awaited.has(each.address) || old.includes(each))
          ? [each.virtual]
          : [],
      ),
    );
    steps.push(...hide(of.tenant, hidden), ...haltSteps(of.tenant, old, 'replaced in place'));
    steps.push({ kind: 'containers.start', ...of, containers: wanted.map(({ plan }) => plan) });
    steps.push({ kind: 'containers.probe', ...of, containers: wanted.map(({ plan }) => plan) });
    const shown = entriesOf(generation, view.virtuals).filter(
      (entry) => hidden.has(entry.virtual) && wanted.some(({ plan }) => plan.virtual === entry.virtual),
    );
    // No generation: this is no switch to the new one, whose colours are still to come.
    if (shown.length > 0)
      steps.push({ kind: 'route.switch', tenant: of.tenant, generation: null, entries: shown });
  }
  return steps;
}

/** Names of the keepers that belong to what serves, as far as anybody remembers what that is made of. */
function verifiedKeepers({ status, containers }: TenantView): Set<string> {
  const { live, known } = status;
  if (live === null) return new Set();
  const made = known.find((each) => each.generation === live);
  const services = made === undefined ? null : servicesOf(made).filter((each) => each.treatment === 'keeper');
  const well = membersOf(containers, live).filter(
    (each) =>
      (each.health === 'none' || each.health === 'healthy') &&
      (services === null || services.some(({ spec }) => spec.name === each.service)),
  );
  return new Set(well.map((each) => each.name));
}

/** A colour that had no volume may serve on until the switch, though its service keeps data from now on. */
function isHarmlessBeside(view: TenantView, container: ObservedContainer): boolean {
  const live = view.status.known.find((each) => each.generation === view.status.live);
  const before = live?.spec.services.find((service) => service.name === container.service);
  return (
    container.role === 'colour' &&
    container.generation === live?.generation &&
    before?.strategy === 'blue-green' &&
    before.volumes.length === 0
  );
}

/** The new one takes over the old one's address, and nobody must be led there before it is healthy. */
function hide(tenant: string, virtuals: ReadonlySet<string>): Step[] {
  const target = { kind: 'maintenance' } as const;
  const entries = [...virtuals].sort().map((virtual) => ({ virtual, target }));
  return entries.length === 0 ? [] : [{ kind: 'route.switch', tenant, generation: null, entries }];
}

/**
 * Who held the volumes of these services under another name. A renamed database must not run beside itself on one
 * volume; where nobody remembers what a stray one mounts, it is taken to be the same.
 */
function forerunners(
  view: TenantView,
  generation: Generation,
  services: readonly PlannedService[],
): ObservedContainer[] {
  const { desired } = generation;
  const live = view.status.known.find((each) => each.generation === view.status.live);
  const staying = new Set(desired.spec.services.map((service) => service.name));
  const volumes = new Set(services.flatMap(({ spec }) => spec.volumes.map((mount) => mount.volume)));
  return view.containers.filter((each) => {
    if (!isUp(each) || each.role === 'release' || each.generation === desired.generation) return false;
    if (staying.has(each.service)) return false;
    const before = live?.spec.services.find((service) => service.name === each.service);
    if (before === undefined) return volumes.size > 0 && (each.role === 'keeper' || each.virtual === null);
    return before.strategy !== 'blue-green' && before.volumes.some((mount) => volumes.has(mount.volume));
  });
}

function colourSteps(view: TenantView, generation: Generation): Step[] {
  const { desired } = generation;
  const of = { tenant: desired.tenant, generation: desired.generation };
  const steps: Step[] = [];
  const services = generation.services.filter((service) => service.treatment !== 'keeper');
  const gating = gates(services);
  const stopped = new Set<string>();
  let unproven: PlannedContainer[] = [];
  const probe = (): void => {
    if (unproven.length > 0)
      steps.push({ kind: 'containers.probe', ...of, containers: unproven.map(({ plan }) => plan) });
    unproven = [];
  };
  for (const level of levelsOf(services)) {
    const planned = ofServices(generation, level);
    const recreated = level.filter((service) => service.treatment === 'recreate');
    const once = recreated.map((service) => service.spec.name);
    if (once.length > 0) {
      // All that can be proven is proven before the only copy of something stops.
      probe();
      const old = view.containers.filter(
        (each) =>
          isUp(each) &&
          each.generation !== desired.generation &&
          once.includes(each.service) &&
          each.role !== 'release',
      );
      old.push(...forerunners(view, generation, recreated).filter((each) => !stopped.has(each.id)));
      for (const each of old) stopped.add(each.id);
      if (old.length > 0)
        steps.push({
          kind: 'containers.stop',
          tenant: of.tenant,
          containers: refsOf(old),
          why: 'it must never run twice',
        });
    }
    steps.push({ kind: 'containers.start', ...of, containers: planned.map(({ plan }) => plan) });
    unproven.push(...planned);
    if (level.some((service) => gating.has(service.spec.name))) probe();
  }
  probe();
  return steps;
}

function ofServices(generation: Generation, services: readonly PlannedService[]): PlannedContainer[] {
  const names = new Set(services.map((service) => service.spec.name));
  return generation.containers.filter(({ plan }) => names.has(plan.service));
}

function switchSteps(view: TenantView, generation: Generation): Step[] {
  const { desired } = generation;
  const of = { tenant: desired.tenant, generation: desired.generation };
  return [
    { kind: 'route.switch', ...of, entries: entriesOf(generation, view.virtuals) },
    { kind: 'route.verify', ...of, checks: checksOf(desired, view.virtuals) },
  ];
}

/** One request for each route, under the tenant's first domain. */
export function checksOf(
  desired: DesiredTenant,
  virtuals: ReadonlyMap<string, string>,
): Extract<Step, { kind: 'route.verify' }>['checks'] {
  const domain = desired.domains[0];
  if (domain === undefined) return [];
  return desired.spec.services.flatMap((service) => {
    if (service.route === undefined) return [];
    const virtual = virtuals.get(routeKey(service.route));
    if (virtual === undefined) return [];
    const host = service.route.subdomain === undefined ? domain : `${service.route.subdomain}.${domain}`;
    // A health path outside the route's own prefix would ask some other service.
    const path = service.route.health.startsWith(service.route.path)
      ? service.route.health
      : service.route.path;
    return [{ host, path, virtual, service: service.name }];
  });
}

/** What served before lets its connections go and stops; it stays, stopped, until the bake time has passed. */
function retireSteps(view: TenantView, generation: Generation): Step[] {
  const { desired } = generation;
  const stay = new Set(membersOf(view.containers, desired.generation).map((each) => each.id));
  const old = view.containers.filter(
    (each) =>
      isUp(each) && each.role === 'colour' && each.generation !== desired.generation && !stay.has(each.id),
  );
  // After the colours that may still have talked to them.
  const names = namesOf(generation);
  const strays = view.containers.filter(
    (each) => each.role === 'keeper' && isUp(each) && !names.has(each.name),
  );
  return [
    ...stopSteps(desired.tenant, old, 'the new generation serves'),
    ...stopSteps(desired.tenant, strays, 'the new generation has no use for it'),
  ];
}

/** Drain, then stop. */
export function stopSteps(tenant: string, containers: readonly ObservedContainer[], why: string): Step[] {
  const routed = containers.filter((each) => each.virtual !== null);
  const steps: Step[] = [];
  if (routed.length > 0) {
    steps.push({
      kind: 'drain',
      tenant,
      addresses: routed.map((each) => each.address).sort(),
      timeoutMs: drainOf(routed),
    });
  }
  return [...steps, ...haltSteps(tenant, containers, why)];
}

/** Stop at once: there is nothing to drain, or nothing to wait for. */
export function haltSteps(tenant: string, containers: readonly ObservedContainer[], why: string): Step[] {
  return containers.length === 0
    ? []
    : [{ kind: 'containers.stop', tenant, containers: refsOf(containers), why }];
}
