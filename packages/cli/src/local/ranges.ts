import { z } from 'zod';

/** An IPv4 range as two numbers, both ends included. */
export interface Range {
  first: number;
  last: number;
  /** The text it was read from. */
  text: string;
}

/** `198.18.16.0/20` or a single address; undefined for what is not IPv4 (`default`, IPv6). */
export function parseRange(text: string): Range | undefined {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})(?:\/(\d{1,2}))?$/.exec(text);
  if (match === null) return undefined;
  const parts = match.slice(1, 5).map(Number);
  const prefix = match[5] === undefined ? 32 : Number(match[5]);
  if (prefix > 32 || parts.some((part) => part > 255)) return undefined;
  const address = parts.reduce((sum, part) => sum * 256 + part, 0);
  const size = 2 ** (32 - prefix);
  const first = Math.floor(address / size) * size;
  return { first, last: first + size - 1, text };
}

export function overlap(a: Range, b: Range): boolean {
  return a.first <= b.last && b.first <= a.last;
}

export function within(inner: Range, outer: Range): boolean {
  return inner.first >= outer.first && inner.last <= outer.last;
}

const Route = z.object({ dst: z.string(), dev: z.string().optional(), type: z.string().optional() });
const Link = z.object({
  ifname: z.string().optional(),
  addr_info: z.array(z.object({ local: z.string().optional(), prefixlen: z.number().optional() })).optional(),
});

/** Something on the host that uses addresses. */
export interface Use {
  range: Range;
  /** The interface, when there is one. */
  dev: string | undefined;
  /** Of a route: `local`, `unreachable`, …; undefined for plain routes and for interfaces. */
  type: string | undefined;
}

/** Reads the JSON of `ip -j route show table all` and `ip -j addr`. The default route uses nothing. */
export function usesOf(routes: unknown, links: unknown): Use[] {
  const uses: Use[] = [];
  for (const item of z.array(z.unknown()).catch([]).parse(routes)) {
    const route = Route.safeParse(item);
    const range = route.success ? parseRange(route.data.dst) : undefined;
    if (route.success && range !== undefined)
      uses.push({ range, dev: route.data.dev, type: route.data.type });
  }
  for (const item of z.array(z.unknown()).catch([]).parse(links)) {
    const link = Link.safeParse(item);
    if (!link.success) continue;
    for (const address of link.data.addr_info ?? []) {
      const range = parseRange(`${address.local ?? ''}/${address.prefixlen ?? 32}`);
      if (range !== undefined) uses.push({ range, dev: link.data.ifname, type: undefined });
    }
  }
  return uses;
}

export interface Slices {
  /** Virtual addresses, a /20 of 198.18.0.0/16. */
  virtualCidr: string;
  /** Tenant networks, a /20 of 198.19.0.0/16. */
  tenantCidr: string;
}

export function slicesAt(index: number): Slices {
  return { virtualCidr: `198.18.${index * 16}.0/20`, tenantCidr: `198.19.${index * 16}.0/20` };
}

export function isFree(cidr: string, uses: readonly Use[]): boolean {
  const range = parseRange(cidr);
  return range !== undefined && uses.every((use) => !overlap(use.range, range));
}

/**
 * A pair of slices nobody uses, looked for from `start` (0–15) on, so that two instances starting at once rarely pick
 * the same; undefined when all sixteen are taken.
 */
export function chooseSlices(uses: readonly Use[], start: number): Slices | undefined {
  for (let offset = 0; offset < 16; offset += 1) {
    const slices = slicesAt((start + offset) % 16);
    if (isFree(slices.virtualCidr, uses) && isFree(slices.tenantCidr, uses)) return slices;
  }
  return undefined;
}

/** Uses of the instance's slices that are not its own routes, bridges or containers: someone else has moved in. */
export function foreignUses(uses: readonly Use[], slices: Slices, bridgePrefix: string): Use[] {
  const virtual = parseRange(slices.virtualCidr);
  const tenant = parseRange(slices.tenantCidr);
  if (virtual === undefined || tenant === undefined) return [];
  return uses.filter((use) => {
    if (overlap(use.range, virtual)) return !(use.type === 'local' && within(use.range, virtual));
    if (!overlap(use.range, tenant)) return false;
    if (use.dev?.startsWith(bridgePrefix) === true) return false;
    return !(use.type === 'unreachable' && within(use.range, tenant));
  });
}
