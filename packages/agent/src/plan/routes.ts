import type { DesiredTenant } from '@berth/shared/domain/desired';
import type { RouteEntry, RouteTarget, Site, TenantNetwork } from '@berth/shared/domain/network';
import type { ObservedContainer, ObservedHost } from '@berth/shared/domain/observed';
import type { Route } from '@berth/shared/domain/spec';
import { virtualAddresses } from './addresses.ts';
import type { PlanSettings } from './input.ts';

/** A route is known by where it hangs, not by the service behind it: a renamed service keeps its virtual address. */
export function routeKey(route: Route): string {
  return `${route.subdomain ?? ''} ${route.path}`;
}

/**
 * The virtual address of every route of these generations of one tenant, by route key. Addresses that containers carry
 * as a label stay; new routes take the lowest free ones of the tenant's slot.
 */
export function allotVirtuals(
  settings: PlanSettings,
  network: TenantNetwork,
  generations: readonly DesiredTenant[],
  containers: readonly ObservedContainer[],
): Map<string, string> {
  const byKey = new Map<string, string>();
  const taken = new Set(
    containers.flatMap((container) => (container.virtual === null ? [] : [container.virtual])),
  );
  const wanted = new Map<string, string>();
  for (const desired of generations) {
    for (const service of desired.spec.services) {
      if (service.route === undefined) continue;
      const key = routeKey(service.route);
      if (!wanted.has(key)) wanted.set(key, service.name);
      if (byKey.has(key)) continue;
      const labelled = containers.find(
        (container) =>
          container.service === service.name &&
          container.virtual !== null &&
          container.generation === desired.generation,
      );
      if (labelled?.virtual != null) byKey.set(key, labelled.virtual);
    }
  }
  for (const [key, service] of wanted) {
    if (byKey.has(key)) continue;
    const used = new Set(byKey.values());
    const labelled = containers.find(
      (container) =>
        container.service === service && container.virtual !== null && !used.has(container.virtual),
    );
    if (labelled?.virtual != null) byKey.set(key, labelled.virtual);
  }
  const unplaced = [...wanted.keys()].filter((key) => !byKey.has(key));
  // Usually every route has its address already; a sweep must not write out the whole range for each tenant.
  if (unplaced.length === 0) return byKey;
  const free = virtualAddresses(settings, network).filter((address) => !taken.has(address));
  for (const key of unplaced.sort()) {
    const address = free.shift();
    if (address !== undefined) byKey.set(key, address);
  }
  return byKey;
}

/** What Nginx must know of a tenant: the routes of the generation that serves and of the one that is to come. */
export function sitesOf(
  generations: readonly DesiredTenant[],
  virtuals: ReadonlyMap<string, string>,
): Site[] {
  const newest = generations[0];
  if (newest === undefined || newest.domains.length === 0) return [];
  const sites = new Map<string, Site>();
  for (const desired of generations) {
    for (const service of desired.spec.services) {
      if (service.route === undefined) continue;
      const key = routeKey(service.route);
      const virtual = virtuals.get(key);
      if (virtual === undefined || sites.has(key)) continue;
      const { subdomain, path } = service.route;
      const hosts = newest.domains.map((domain) =>
        subdomain === undefined ? domain : `${subdomain}.${domain}`,
      );
      sites.set(key, { tenant: desired.tenant, service: service.name, hosts, path, virtual });
    }
  }
  return [...sites.values()];
}

/**
 * Where these routes of a tenant lead by themselves: to the page that says that nothing is routed there. A path below one
 * that `serving` routes will be that one's as soon as Nginx has forgotten its own; until then it leads to nobody.
 */
export function unservedEntries(
  virtuals: ReadonlyMap<string, string>,
  serving: readonly Route[],
): RouteEntry[] {
  const kept = new Set(serving.map(routeKey));
  return [...virtuals].flatMap(([key, virtual]): RouteEntry[] => {
    if (kept.has(key)) return [];
    const covered = serving.some((route) => isBelow(key, routeKey(route)));
    return [{ virtual, target: covered ? { kind: 'none' } : { kind: 'unrouted' } }];
  });
}

function isBelow(key: string, above: string): boolean {
  return key.startsWith(above.endsWith('/') ? above : `${above}/`);
}

/** Where routes lead once these are switched. */
export function after(
  routes: ObservedHost['routes'],
  entries: readonly RouteEntry[],
): ObservedHost['routes'] {
  return entries.length === 0
    ? routes
    : new Map([...routes, ...entries.map((each) => [each.virtual, each.target] as const)]);
}

/** Entries that differ from what the kernel holds now. */
export function changedEntries(
  wanted: readonly RouteEntry[],
  now: ReadonlyMap<string, RouteTarget>,
): RouteEntry[] {
  return wanted.filter((entry) => !sameTarget(entry.target, now.get(entry.virtual) ?? { kind: 'none' }));
}

export function sameTarget(a: RouteTarget, b: RouteTarget): boolean {
  if (a.kind !== 'containers' || b.kind !== 'containers') return a.kind === b.kind;
  if (a.endpoints.length !== b.endpoints.length) return false;
  const inOrder = a.endpoints.every((endpoint, index) => {
    const other = b.endpoints[index];
    return endpoint.address === other?.address && endpoint.port === other.port;
  });
  if (inOrder) return true;
  const text = (target: typeof a): string =>
    target.endpoints
      .map((endpoint) => `${endpoint.address}:${endpoint.port}`)
      .sort()
      .join(' ');
  return text(a) === text(b);
}

export function sameSites(a: readonly Site[], b: readonly Site[]): boolean {
  if (a.length !== b.length) return false;
  if (a.every((site, index) => sameSite(site, b[index]))) return true;
  const text = (sites: readonly Site[]): string =>
    sites
      .map(
        (site) =>
          `${site.virtual} ${site.path} ${[...site.hosts].sort().join(',')} ${site.tenant} ${site.service}`,
      )
      .sort()
      .join('\n');
  return text(a) === text(b);
}

/** As they usually are when nothing changed: everything in the same order. */
function sameSite(a: Site, b: Site | undefined): boolean {
  return (
    b !== undefined &&
    a.tenant === b.tenant &&
    a.service === b.service &&
    a.virtual === b.virtual &&
    a.path === b.path &&
    a.hosts.length === b.hosts.length &&
    a.hosts.every((host, index) => host === b.hosts[index])
  );
}
