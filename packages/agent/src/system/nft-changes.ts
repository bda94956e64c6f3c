import { ROUTES_MAP, SPREAD_MAP } from './nft-routes.ts';

/** One line of `nft monitor` about our table. */
export type NftChange =
  | { kind: 'element'; verb: 'add' | 'delete'; map: string; key: string; value: string }
  /** Something of what the static file holds came or went: a rule, a chain, a set or an element of it, the table. */
  | { kind: 'static' };

/** What a line of `nft monitor` says about this table; null when it is about something else. */
export function changeFrom(table: string, line: string): NftChange | null {
  const words = line.split(' ');
  const [verb, what, family, name, map] = words;
  if (family !== 'inet' || name !== table) return null;
  if (what !== 'element' || (map !== ROUTES_MAP && map !== SPREAD_MAP)) return { kind: 'static' };
  if (verb !== 'add' && verb !== 'delete') return { kind: 'static' };
  const match = /\{ (.+?) : (.+?) \}/.exec(line);
  return { kind: 'element', verb, map, key: match?.[1] ?? '', value: match?.[2] ?? '' };
}
