import { ROUTES_MAP, SPREAD_MAP } from './nft-routes.ts';

/** One line of `nft monitor` about our table. */
export type NftChange =
  | { kind: 'element'; verb: 'add' | 'delete'; map: string; key: string; value: string }
  /** Something that only the static part holds went away: a rule, a chain, a set, the table. */
  | { kind: 'loss' };

/** What a line of `nft monitor` says about this table; null when it says nothing that matters. */
export function changeFrom(table: string, line: string): NftChange | null {
  const words = line.split(' ');
  const [verb, what, family, name, map] = words;
  if (family !== 'inet' || name !== table) return null;
  if (verb === 'delete' && what !== 'element') return { kind: 'loss' };
  if (what !== 'element' || (verb !== 'add' && verb !== 'delete')) return null;
  if (map !== ROUTES_MAP && map !== SPREAD_MAP) return null;
  const match = /\{ (.+?) : (.+?) \}/.exec(line);
  return { kind: 'element', verb, map, key: match?.[1] ?? '', value: match?.[2] ?? '' };
}
