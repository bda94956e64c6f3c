import { tombstoneIn, wantedIn, type DesiredTenant } from '@berth/shared/domain/desired';
import type { RouteEntry, Site } from '@berth/shared/domain/network';
import type { ObservedContainer } from '@berth/shared/domain/observed';
import { newStatus, type TenantStatus } from '@berth/shared/domain/status';
import { allotNetworks, slotCount } from './addresses.ts';
import { byTenantOf, isUp } from './containers.ts';
import { egressOf, withEgress } from './egress.ts';
import { keepSteps } from './keep.ts';
import type { HostPlan, PlanInput, RemovalCandidate, TenantPlan } from './input.ts';
import { mendedEntries, routesToNobody } from './nobody.ts';
import type { TenantView } from './view.ts';
import { allotVirtuals, sameSites, sitesOf } from './routes.ts';
import { isAtRest, restOf, type Rest } from './rest.ts';
import { planTenant, removeSteps } from './tenant.ts';

/**
 * What one host has to do now. Pure and synchronous: the same input gives the same plan, and what is as desired gives
 * no steps. Every step is safe to repeat, so a plan may be dropped and made anew at any point.
 *
 * A tenant that runs and is neither desired nor entombed is left alone: absence never deletes.
 */
export function plan(input: PlanInput): HostPlan {
  return planFrom(input, new Map(), new Map());
}

/**
 * `plan` for one host again and again, with the same answers: a tenant that was at rest and of which nothing changed is
 * not planned anew. The memory is this function's own and holds what is desired now, no more.
 */
export function createPlanner(): (input: PlanInput) => HostPlan {
  let known = new Map<string, Rest>();
  return (input) => {
    const next = new Map<string, Rest>();
    const made = planFrom(input, known, next);
    known = next;
    return made;
  };
}

function planFrom(input: PlanInput, known: ReadonlyMap<string, Rest>, next: Map<string, Rest>): HostPlan {
  const { desired, observed, settings, now } = input;
  // Nothing was ever received: whatever runs here runs on.
  if (desired.revision === 0)
    return { host: [], tenants: [], removals: [], deserted: [], orphans: tenantsOf(observed.containers) };

  const containers = byTenantOf(observed.containers);
  const names = Object.keys(desired.tenants).sort();
  const networks = allotNetworks(settings, names, [...observed.networks, ...input.reserved]);
  const present = new Set(observed.networks.map((network) => network.tenant));

  let routed: Set<string> | null = null;
  let toNobody: RouteEntry[] | null = null;
  const viewOf = (tenant: string, generations: readonly DesiredTenant[]): TenantView | null => {
    const network = networks.get(tenant);
    if (network === undefined) return null;
    const own = containers.get(tenant) ?? [];
    return {
      status: input.statuses.get(tenant) ?? newStatus(tenant),
      containers: own,
      network,
      networkState: present.has(tenant) ? 'present' : 'missing',
      virtuals: allotVirtuals(settings, network, generations, own),
      routed: (routed ??= routedAddresses(observed.routes)),
      toNobody: (toNobody ??=
        observed.look === 'moving' ? [] : routesToNobody(observed.routes, observed.containers)),
    };
  };

  const tenants: TenantPlan[] = [];
  const sites: Site[] = [];
  const deserted: string[] = [];
  for (const name of names) {
    const wanted = wantedIn(desired, name);
    if (wanted === undefined || tombstoneIn(desired, name) !== undefined) continue;
    const status = input.statuses.get(name);
    const network = networks.get(name);
    const own = containers.get(name) ?? [];
    const rest = known.get(name);
    const from =
      network === undefined
        ? null
        : { settings, desired: wanted, status, network, present: present.has(name), containers: own };
    const busy = input.busy?.has(name) === true;
    if (
      rest !== undefined &&
      from !== null &&
      input.mode === 'apply' &&
      isAtRest(rest, from, observed.routes)
    ) {
      next.set(name, rest);
      if (!busy) tenants.push(withEgress(rest.plan, egressOf(wanted, status, own), from, observed.egress));
      sites.push(...rest.sites);
      continue;
    }
    const generations = generationsOf(wanted, status);
    const view = viewOf(name, generations);
    if (view === null || from === null) {
      const message = `This host has no network left for tenant ${name}: all ${slotCount(settings)} networks of ${settings.tenantCidr} are in use. Place it on another host, or give this agent a larger range.`;
      tenants.push({
        tenant: name,
        goal: { kind: 'keep', generation: null },
        steps: [],
        nextAt: null,
        obstacle: { code: 'address_exhausted', message },
      });
      continue;
    }
    const itsSites = sitesOf(generations, view.virtuals);
    sites.push(...itsSites);
    if (busy) {
      if (input.mode === 'apply' && mendedEntries(view).length > 0) deserted.push(name);
      continue;
    }
    if (input.mode === 'apply') {
      const made = planTenant(settings, wanted, view, observed.routes, now);
      tenants.push(withEgress(made, egressOf(wanted, status, own), from, observed.egress));
      const found = restOf(from, made, itsSites, view.virtuals, observed.routes);
      if (found !== null) next.set(name, found);
    } else tenants.push(observeOnly(name, view, observed.routes));
  }

  const removals: RemovalCandidate[] = [];
  for (const tombstone of Object.values(desired.tombstones)) {
    const own = containers.get(tombstone.tenant) ?? [];
    const view = present.has(tombstone.tenant) || own.length > 0 ? viewOf(tombstone.tenant, []) : null;
    if (tombstone.state === 'proposed' || input.mode === 'observe') {
      removals.push({
        tenant: tombstone.tenant,
        generation: tombstone.generation,
        containers: own
          .filter(isUp)
          .map((each) => each.name)
          .sort(),
        state: 'ask',
      });
      sites.push(...sitesNow(observed.sites, tombstone.tenant));
    } else if (own.length === 0 && view === null) {
      removals.push({
        tenant: tombstone.tenant,
        generation: tombstone.generation,
        containers: [],
        state: 'gone',
      });
    } else if (view !== null && input.busy?.has(tombstone.tenant) !== true) {
      tenants.push({
        tenant: tombstone.tenant,
        goal: { kind: 'remove' },
        steps: removeSteps(settings, tombstone, view, observed.routes),
        nextAt: null,
        obstacle: null,
      });
    }
  }

  const orphans = [...containers.keys()]
    .filter((tenant) => wantedIn(desired, tenant) === undefined && tombstoneIn(desired, tenant) === undefined)
    .sort();
  for (const orphan of orphans) sites.push(...sitesNow(observed.sites, orphan));

  const host: HostPlan['host'] =
    observed.sites === null || !sameSites(sites, observed.sites)
      ? [{ kind: 'ingress.apply', sites: sorted(sites) }]
      : [];
  return { host, tenants, removals, deserted, orphans };
}

function routedAddresses(routes: PlanInput['observed']['routes']): Set<string> {
  return new Set(
    [...routes.values()].flatMap((target) =>
      target.kind === 'containers' ? target.endpoints.map((each) => each.address) : [],
    ),
  );
}

/** Desired first, then what serves now, then what it would go back to. */
function generationsOf(desired: DesiredTenant, status: TenantStatus | undefined): DesiredTenant[] {
  const others = (status?.known ?? []).filter((each) => each.generation !== desired.generation);
  const live = others.filter((each) => each.generation === status?.live);
  return [desired, ...live, ...others.filter((each) => each.generation !== status?.live)];
}

/** Until an operator has confirmed the coordinator's state, only a route that was lost is put back. */
function observeOnly(tenant: string, view: TenantView, routes: PlanInput['observed']['routes']): TenantPlan {
  const live = view.status.live;
  const steps = keepSteps(view, live, null, routes).filter((step) => step.kind === 'route.switch');
  return { tenant, goal: { kind: 'keep', generation: live }, steps, nextAt: null, obstacle: null };
}

function sitesNow(sites: readonly Site[] | null, tenant: string): Site[] {
  return (sites ?? []).filter((site) => site.tenant === tenant);
}

function tenantsOf(containers: readonly ObservedContainer[]): string[] {
  return [...new Set(containers.map((each) => each.tenant))].sort();
}

function sorted(sites: readonly Site[]): Site[] {
  return [...sites].sort((a, b) =>
    `${a.tenant} ${a.service} ${a.path}` < `${b.tenant} ${b.service} ${b.path}` ? -1 : 1,
  );
}
