import type { Endpoint, RouteTarget } from '@berth/shared/domain/network';
import { z } from 'zod';

/** How many slots a spread route has; replicas take turns in them. */
export const SLOTS = 16;
export const ROUTES_MAP = 'routes';
export const SPREAD_MAP = 'spread';

/** The route maps as the kernel has them. One endpoint lives in `single`; several share the slots of `spread`. */
export interface KernelRoutes {
  /** Whether the table and its maps exist at all. */
  present: boolean;
  single: ReadonlyMap<string, Endpoint>;
  spread: ReadonlyMap<string, ReadonlyMap<number, Endpoint>>;
}

const MapEntry = z.object({
  map: z.object({ name: z.string(), elem: z.array(z.unknown()).optional() }),
});
const Value = z.object({ concat: z.tuple([z.string(), z.number()]) });
const SingleElement = z.tuple([z.string(), Value]);
const SpreadElement = z.tuple([z.object({ concat: z.tuple([z.string(), z.number()]) }), Value]);

/** From `nft -j list table`. Throws when the answer has another shape: better no answer than a wrong one. */
export function routeStateFrom(json: unknown): KernelRoutes {
  const { nftables } = z.object({ nftables: z.array(z.unknown()) }).parse(json);
  const single = new Map<string, Endpoint>();
  const spread = new Map<string, Map<number, Endpoint>>();
  const seen = new Set<string>();
  for (const item of nftables) {
    const entry = MapEntry.safeParse(item);
    if (!entry.success) continue;
    const { name, elem = [] } = entry.data.map;
    seen.add(name);
    if (name === ROUTES_MAP) {
      for (const element of elem) {
        const [virtual, value] = SingleElement.parse(element);
        single.set(virtual, endpointOf(value));
      }
    } else if (name === SPREAD_MAP) {
      for (const element of elem) {
        const [key, value] = SpreadElement.parse(element);
        const [virtual, slot] = key.concat;
        const slots = spread.get(virtual) ?? new Map<number, Endpoint>();
        slots.set(slot, endpointOf(value));
        spread.set(virtual, slots);
      }
    }
  }
  return { present: seen.has(ROUTES_MAP) && seen.has(SPREAD_MAP), single, spread };
}

function endpointOf(value: z.infer<typeof Value>): Endpoint {
  const [address, port] = value.concat;
  return { address, port };
}

/** Where Nginx itself answers for what is paused, and for what nothing routes. */
export interface Pages {
  maintenance: Endpoint;
  unrouted: Endpoint;
}

/** The kernel's maps in the planner's words. What leads nowhere is absent. */
export function targetsOf(kernel: KernelRoutes, pages: Pages): Map<string, RouteTarget> {
  const targets = new Map<string, RouteTarget>();
  for (const [virtual, slots] of kernel.spread) {
    const endpoints = new Map<string, Endpoint>();
    for (const slot of [...slots.keys()].sort((a, b) => a - b)) {
      const endpoint = slots.get(slot);
      if (endpoint !== undefined) endpoints.set(`${endpoint.address}:${endpoint.port}`, endpoint);
    }
    targets.set(virtual, { kind: 'containers', endpoints: [...endpoints.values()] });
  }
  // The rule for single endpoints comes first in the chain, so it wins here too.
  for (const [virtual, endpoint] of kernel.single) {
    if (isSame(endpoint, pages.maintenance)) targets.set(virtual, { kind: 'maintenance' });
    else if (isSame(endpoint, pages.unrouted)) targets.set(virtual, { kind: 'unrouted' });
    else targets.set(virtual, { kind: 'containers', endpoints: [endpoint] });
  }
  return targets;
}

function isSame(a: Endpoint, b: Endpoint): boolean {
  return a.address === b.address && a.port === b.port;
}

/** What the maps hold once these targets are in place. */
export function withTarget(
  kernel: KernelRoutes,
  entries: readonly { virtual: string; target: RouteTarget }[],
  pages: Pages,
): KernelRoutes {
  const single = new Map(kernel.single);
  const spread = new Map(kernel.spread);
  for (const { virtual, target } of entries) {
    single.delete(virtual);
    spread.delete(virtual);
    if (target.kind === 'maintenance' || target.kind === 'unrouted') single.set(virtual, pages[target.kind]);
    if (target.kind !== 'containers') continue;
    const [first, ...rest] = target.endpoints;
    if (first === undefined) continue;
    if (rest.length === 0) single.set(virtual, first);
    else spread.set(virtual, slotsFor(target.endpoints));
  }
  return { present: true, single, spread };
}

function slotsFor(endpoints: readonly Endpoint[]): Map<number, Endpoint> {
  const slots = new Map<number, Endpoint>();
  for (let slot = 0; slot < SLOTS; slot += 1) {
    const endpoint = endpoints[slot % endpoints.length];
    if (endpoint !== undefined) slots.set(slot, endpoint);
  }
  return slots;
}

/** One transaction that takes the maps of `virtuals` from one state to the other; empty when nothing differs. */
export function switchScript(
  table: string,
  from: KernelRoutes,
  to: KernelRoutes,
  virtuals: readonly string[],
): string {
  const gone: Record<'single' | 'spread', string[]> = { single: [], spread: [] };
  const made: Record<'single' | 'spread', string[]> = { single: [], spread: [] };
  for (const virtual of new Set(virtuals)) {
    const before = elementsOf(from, virtual);
    const after = elementsOf(to, virtual);
    for (const kind of ['single', 'spread'] as const) {
      for (const [key, value] of before[kind]) if (after[kind].get(key) !== value) gone[kind].push(key);
      for (const [key, value] of after[kind])
        if (before[kind].get(key) !== value) made[kind].push(`${key} : ${value}`);
    }
  }
  const line = (verb: string, map: string, elements: readonly string[]): string =>
    elements.length === 0 ? '' : `${verb} element inet ${table} ${map} { ${elements.join(', ')} }\n`;
  return (
    line('delete', ROUTES_MAP, gone.single) +
    line('delete', SPREAD_MAP, gone.spread) +
    line('add', ROUTES_MAP, made.single) +
    line('add', SPREAD_MAP, made.spread)
  );
}

function elementsOf(kernel: KernelRoutes, virtual: string): Record<'single' | 'spread', Map<string, string>> {
  const single = new Map<string, string>();
  const spread = new Map<string, string>();
  const endpoint = kernel.single.get(virtual);
  if (endpoint !== undefined) single.set(virtual, valueOf(endpoint));
  for (const [slot, one] of kernel.spread.get(virtual) ?? [])
    spread.set(`${virtual} . ${slot}`, valueOf(one));
  return { single, spread };
}

/** The value at an element's key, both in nft's own words; undefined when there is none. */
export function elementOf(kernel: KernelRoutes, map: string, key: string): string | undefined {
  const [virtual = '', slot] = key.split(' . ');
  const endpoint =
    map === ROUTES_MAP ? kernel.single.get(virtual) : kernel.spread.get(virtual)?.get(Number(slot));
  return endpoint === undefined ? undefined : valueOf(endpoint);
}

function valueOf(endpoint: Endpoint): string {
  return `${endpoint.address} . ${endpoint.port}`;
}

/** The declarations of the two maps, the same text in every file that loads them. */
export function mapDeclarations(table: string): string {
  return (
    `add table inet ${table}\n` +
    `add map inet ${table} ${ROUTES_MAP} { type ipv4_addr : ipv4_addr . inet_service; }\n` +
    `add map inet ${table} ${SPREAD_MAP} { typeof ip daddr . numgen random mod ${SLOTS} : ip daddr . tcp dport; }\n`
  );
}

/** The routes as a file for `nft -f`: it may be loaded again and again, with or without the static part. */
export function routesFile(table: string, kernel: KernelRoutes): string {
  const empty: KernelRoutes = { present: true, single: new Map(), spread: new Map() };
  const virtuals = [...kernel.single.keys(), ...kernel.spread.keys()];
  return (
    mapDeclarations(table) +
    `flush map inet ${table} ${ROUTES_MAP}\n` +
    `flush map inet ${table} ${SPREAD_MAP}\n` +
    switchScript(table, empty, kernel, virtuals)
  );
}
