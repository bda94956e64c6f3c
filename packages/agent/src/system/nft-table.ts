import { z } from 'zod';
import { routeStateFrom, ROUTES_MAP, SPREAD_MAP, type KernelRoutes } from './nft-routes.ts';

/** The agent's table as the kernel has it. */
export interface KernelTable {
  /** Null when there is no table of this name. */
  fixed: FixedPart | null;
  routes: KernelRoutes;
}

/** All but the routes, in a form in which two of them can be compared: without handles and counters. */
export interface FixedPart {
  /** Chains, rules in their order, and what sets and maps are declared to hold. */
  rules: string;
  /** The elements of each set and map but the routes', sorted. */
  elements: Readonly<Record<string, readonly string[]>>;
}

const Item = z.record(z.string(), z.record(z.string(), z.unknown()));

/** From `nft -j -s list table`. Throws when the answer has another shape: better no answer than a wrong one. */
export function tableFrom(json: unknown): KernelTable {
  const { nftables } = z.object({ nftables: z.array(z.unknown()) }).parse(json);
  const rules: string[] = [];
  const elements: Record<string, readonly string[]> = {};
  for (const item of nftables) {
    for (const [kind, body] of Object.entries(Item.parse(item))) {
      if (kind === 'metainfo' || kind === 'table') continue;
      const { handle: _handle, elem, ...rest } = body;
      rules.push(JSON.stringify([kind, rest]));
      if (kind !== 'set' && kind !== 'map') continue;
      const name = z.string().parse(rest['name']);
      if (name === ROUTES_MAP || name === SPREAD_MAP) continue;
      elements[name] = z
        .array(z.unknown())
        .parse(elem ?? [])
        .map((each) => JSON.stringify(each))
        .sort();
    }
  }
  return { fixed: { rules: rules.join('\n'), elements }, routes: routeStateFrom(json) };
}
