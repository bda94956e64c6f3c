import type { RouteEntry } from '@berth/shared/domain/network';
import type { ObservedContainer, ObservedHost } from '@berth/shared/domain/observed';
import { parseCidr, toNumber } from './addresses.ts';
import { isUp } from './containers.ts';
import type { TenantView } from './view.ts';

/** Routes of a host that lead to an address where there is no container at all. */
export function routesToNobody(
  routes: ObservedHost['routes'],
  containers: readonly ObservedContainer[],
): RouteEntry[] {
  const held = new Set(containers.map((each) => each.address));
  return [...routes].flatMap(([virtual, target]) =>
    target.kind === 'containers' && target.endpoints.some((each) => !held.has(each.address))
      ? [{ virtual, target }]
      : [],
  );
}

/**
 * A tenant's routes among these as they should be at once, whatever else is done: to those that are left, or to none, so
 * that visitors have an answer and do not wait for one. What is missing comes back in its own time.
 */
export function mendedEntries({ network, containers, toNobody }: TenantView): RouteEntry[] {
  if (toNobody.length === 0) return [];
  const { base, size } = parseCidr(network.subnet);
  const up = new Set(containers.filter(isUp).map((each) => each.address));
  return toNobody.flatMap(({ virtual, target }): RouteEntry[] => {
    if (target.kind !== 'containers') return [];
    const own = target.endpoints.some(({ address }) => {
      const offset = toNumber(address) - base;
      return offset >= 0 && offset < size;
    });
    if (!own) return [];
    const endpoints = target.endpoints.filter((each) => up.has(each.address));
    return [{ virtual, target: endpoints.length > 0 ? { kind: 'containers', endpoints } : { kind: 'none' } }];
  });
}
