import { z } from 'zod';

/** An IPv4 range such as 10.20.0.0/16, with no bits set behind the prefix. */
export const EgressRange = z.cidrv4().refine((text) => rangeOf(text) !== null, {
  error: 'must be an IPv4 range such as 10.20.0.0/16, with no bits set behind the prefix',
});

/**
 * Where a tenant's containers may open connections to, besides each other.
 * - `internet`: everywhere, private networks beyond the host (the VPC's databases) too. The default.
 * - `public`: like it, without private networks.
 * - `none`: nowhere, and no names are looked up.
 * - a list: these ranges, and the host's name servers.
 *
 * The host itself, other tenants and link-local addresses such as the metadata service are never in it.
 */
export const Egress = z.union([z.enum(['internet', 'public', 'none']), z.array(EgressRange).min(1).max(64)]);
export type Egress = z.infer<typeof Egress>;

export const DEFAULT_EGRESS: Egress = 'internet';

/** The same policy has the same text: ranges sorted, without those that lie in another. */
export function egressText(egress: Egress): string {
  return typeof egress === 'string' ? egress : widest(egress).join(',');
}

/** Allows what any of them allows: while a tenant moves, both its colours run on one bridge. */
export function unionOf(policies: readonly Egress[]): Egress {
  const words = policies.filter((each) => typeof each === 'string');
  const ranges = widest(policies.flatMap((each) => (typeof each === 'string' ? [] : each)));
  if (words.includes('internet')) return 'internet';
  // A list may hold private ranges, which `public` leaves out: together only `internet` covers both.
  if (words.includes('public')) return ranges.length === 0 ? 'public' : 'internet';
  if (ranges.length > 64) return 'internet';
  return ranges.length > 0 ? ranges : words.includes('none') ? 'none' : DEFAULT_EGRESS;
}

/** Sorted by address, and none of them within another: nft refuses a set whose ranges overlap. */
export function widest(ranges: readonly string[]): string[] {
  const parsed = [...new Set(ranges)].flatMap((text) => {
    const range = rangeOf(text);
    return range === null ? [] : [{ text, ...range }];
  });
  return parsed
    .filter((inner) => !parsed.some((outer) => outer !== inner && holds(outer, inner)))
    .sort((a, b) => a.base - b.base)
    .map((each) => each.text);
}

interface Range {
  base: number;
  prefix: number;
}

function rangeOf(text: string): Range | null {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\/(\d{1,2})$/.exec(text);
  if (match === null) return null;
  const [a, b, c, d, prefix] = match.slice(1).map(Number);
  if (a === undefined || b === undefined || c === undefined || d === undefined || prefix === undefined)
    return null;
  if (Math.max(a, b, c, d) > 255 || prefix > 32) return null;
  const base = ((a * 256 + b) * 256 + c) * 256 + d;
  return base % 2 ** (32 - prefix) === 0 ? { base, prefix } : null;
}

function holds(outer: Range, inner: Range): boolean {
  const size = 2 ** (32 - outer.prefix);
  return outer.prefix <= inner.prefix && inner.base >= outer.base && inner.base < outer.base + size;
}

/** Reads what {@link egressText} wrote, and what people type; null for anything else. */
export function egressFrom(text: string): Egress | null {
  const parsed = Egress.safeParse(/^[a-z]+$/.test(text) ? text : text.split(','));
  return parsed.success ? parsed.data : null;
}
