import { releaseKeyOf, type DesiredTenant } from '@berth/shared/domain/desired';
import { digestOf } from '@berth/shared/domain/digest';
import type { RouteEntry, TenantNetwork } from '@berth/shared/domain/network';
import type { ObservedContainer } from '@berth/shared/domain/observed';
import type { ServiceSpec } from '@berth/shared/domain/spec';
import type { ContainerPlan } from '@berth/shared/domain/step';
import { freeAddresses } from './addresses.ts';
import type { PlanSettings } from './input.ts';
import { routeKey, unservedEntries } from './routes.ts';
import { servicesOf, type PlannedService, type Treatment } from './services.ts';
import type { TenantView } from './view.ts';

export interface PlannedContainer {
  plan: ContainerPlan;
  treatment: Treatment;
  once: boolean;
}

/** Every container of one generation of one tenant, with its address; keepers that need no change as they are. */
export interface Generation {
  desired: DesiredTenant;
  services: readonly PlannedService[];
  containers: PlannedContainer[];
  /** The one-off container of the release command, and the key under which it runs once. */
  release: { plan: ContainerPlan; key: string; timeoutMs: number } | null;
}

/** `exhausted` when the tenant's network has too few addresses. */
export type GenerationResult =
  { kind: 'made'; generation: Generation } | { kind: 'exhausted'; needed: number };

export function makeGeneration(
  settings: PlanSettings,
  desired: DesiredTenant,
  view: TenantView,
  /** Containers that are cleared away first: a lost route may lead to their addresses, so nobody else gets them. */
  leaving: readonly ObservedContainer[] = [],
): GenerationResult {
  const { network, virtuals } = view;
  const containers =
    leaving.length === 0 ? view.containers : view.containers.filter((each) => !leaving.includes(each));
  const services = servicesOf(desired);
  const places = services.flatMap((service) =>
    Array.from({ length: service.spec.replicas }, (_unused, index) =>
      place(service, index + 1, desired, containers),
    ),
  );
  const addresses = allot(places, desired, { ...view, containers }, leaving);
  if (addresses === null) return { kind: 'exhausted', needed: places.length };

  const hostsFor = (seen: (treatment: Treatment) => boolean): Record<string, string[]> => {
    const hosts: Record<string, string[]> = {};
    for (const each of places) {
      if (!seen(each.service.treatment)) continue;
      (hosts[each.service.spec.name] ??= []).push(addresses.of(each));
    }
    return hosts;
  };
  const allHosts = hostsFor(() => true);
  // A keeper outlives the colours, so it knows only other keepers by name.
  const keeperHosts = hostsFor((treatment) => treatment === 'keeper');

  const releaseKey = releaseKeyOf(desired);
  const planned = places.map((each): PlannedContainer => {
    const { spec, treatment, once } = each.service;
    const virtual = spec.route === undefined ? undefined : virtuals.get(routeKey(spec.route));
    return {
      treatment,
      once,
      plan: {
        name: nameOf(settings, desired.tenant, each.generation, `${spec.name}-${each.replica}`),
        tenant: desired.tenant,
        app: desired.app,
        release: desired.release,
        generation: each.generation,
        service: spec.name,
        replica: each.replica,
        role: treatment === 'keeper' ? 'keeper' : 'colour',
        spec,
        specHash: each.specHash,
        network: network.name,
        address: addresses.of(each),
        ...(virtual === undefined ? {} : { virtual }),
        // Keepers come before the command, so they tell nothing of it.
        ...(treatment === 'keeper' || releaseKey === null ? {} : { releaseKey }),
        hosts: treatment === 'keeper' ? keeperHosts : allHosts,
      },
    };
  });
  return {
    kind: 'made',
    generation: {
      desired,
      services,
      containers: planned,
      release: releaseOf(settings, desired, network, addresses.release, keeperHosts),
    },
  };
}

interface Place {
  service: PlannedService;
  replica: number;
  /** Generation the container belongs to: the new one, or the one a kept keeper was born in. */
  generation: number;
  specHash: string;
  /** Address it has, or takes over from the keeper it replaces. */
  address: string | null;
}

function place(
  service: PlannedService,
  replica: number,
  desired: DesiredTenant,
  containers: readonly ObservedContainer[],
): Place {
  const specHash = hashOf(service.spec);
  const same = containers.filter(
    (container) =>
      container.service === service.spec.name &&
      container.replica === replica &&
      container.role !== 'release',
  );
  if (service.treatment === 'keeper') {
    const keepers = same.filter((each) => each.role === 'keeper');
    const current = newest(keepers.filter((each) => each.generation <= desired.generation));
    if (current !== null && current.specHash === specHash)
      return { service, replica, specHash, generation: current.generation, address: current.address };
    // A generation that was taken back to may be older than the keeper that it replaces.
    const replaced = current ?? newest(keepers);
    if (replaced !== null)
      return { service, replica, specHash, generation: desired.generation, address: replaced.address };
  }
  const own = same.find((each) => each.generation === desired.generation);
  return { service, replica, specHash, generation: desired.generation, address: own?.address ?? null };
}

function newest(containers: readonly ObservedContainer[]): ObservedContainer | null {
  return containers.reduce<ObservedContainer | null>(
    (best, each) => (best === null || each.generation > best.generation ? each : best),
    null,
  );
}

interface Allotment {
  of(place: Place): string;
  release: string;
}

function allot(
  places: readonly Place[],
  desired: DesiredTenant,
  { status, network, containers, routed }: TenantView,
  leaving: readonly ObservedContainer[],
): Allotment | null {
  const kept = new Set(places.flatMap((each) => (each.address === null ? [] : [each.address])));
  const others = containers.filter((each) => each.generation !== desired.generation);
  const taken = new Set([...kept, ...[...others, ...leaving].map((each) => each.address)]);
  // A route may still lead to one that was removed: whoever is new there would be found before he is healthy. What serves
  // has the route anyway, and comes back to where the others know it.
  const found = desired.generation === status.live ? new Set<string>() : routed;
  const free = freeAddresses(network, (address) => taken.has(address) || found.has(address));
  const given = new Map<Place, string>();
  for (const each of places) {
    const address = each.address ?? free.next().value;
    if (address === undefined) return null;
    given.set(each, address);
  }
  const own = containers.find((each) => each.role === 'release' && each.generation === desired.generation);
  const release = own?.address ?? free.next().value;
  if (release === undefined) return null;
  return { of: (each) => given.get(each) ?? network.gateway, release };
}

function releaseOf(
  settings: PlanSettings,
  desired: DesiredTenant,
  network: TenantNetwork,
  address: string,
  hosts: Record<string, string[]>,
): Generation['release'] {
  const wanted = desired.spec.release;
  const service = desired.spec.services.find((each) => each.name === wanted?.service);
  const key = releaseKeyOf(desired);
  if (wanted === undefined || service === undefined || key === null) return null;
  const { route: _route, healthcheck: _healthcheck, ...rest } = service;
  const spec: ServiceSpec = { ...rest, command: wanted.command, restart: 'no', replicas: 1, dependsOn: [] };
  return {
    key,
    timeoutMs: wanted.timeoutMs,
    plan: {
      name: nameOf(settings, desired.tenant, desired.generation, 'release'),
      tenant: desired.tenant,
      app: desired.app,
      release: desired.release,
      generation: desired.generation,
      service: service.name,
      replica: 1,
      role: 'release',
      spec,
      specHash: hashOf(spec),
      network: network.name,
      address,
      releaseKey: key,
      hosts,
    },
  };
}

/** Where the routes lead when this generation serves. */
export function entriesOf(generation: Generation, virtuals: ReadonlyMap<string, string>): RouteEntry[] {
  const entries = new Map<string, RouteEntry>();
  for (const { plan } of generation.containers) {
    if (plan.virtual === undefined || plan.spec.route === undefined) continue;
    const endpoint = { address: plan.address, port: plan.spec.route.port };
    const entry = entries.get(plan.virtual);
    if (entry?.target.kind === 'containers') entry.target.endpoints.push(endpoint);
    else
      entries.set(plan.virtual, {
        virtual: plan.virtual,
        target: { kind: 'containers', endpoints: [endpoint] },
      });
  }
  const routes = generation.desired.spec.services.flatMap(({ route }) =>
    route === undefined ? [] : [route],
  );
  for (const entry of unservedEntries(virtuals, routes))
    if (!entries.has(entry.virtual)) entries.set(entry.virtual, entry);
  for (const virtual of virtuals.values())
    if (!entries.has(virtual)) entries.set(virtual, { virtual, target: { kind: 'none' } });
  return [...entries.values()];
}

export function namesOf(generation: Generation): Set<string> {
  return new Set(generation.containers.map(({ plan }) => plan.name));
}

function nameOf(settings: PlanSettings, tenant: string, generation: number, rest: string): string {
  return `${settings.agent}-${tenant}-g${generation}-${rest}`;
}

/** Specs are never changed in place, so the same object has the same hash: to make one costs more than a whole plan. */
const hashes = new WeakMap<ServiceSpec, string>();

export function hashOf(spec: ServiceSpec): string {
  const known = hashes.get(spec);
  if (known !== undefined) return known;
  const hash = digestOf(spec).slice(0, 16);
  hashes.set(spec, hash);
  return hash;
}
