import type { Findings } from './findings.ts';
import type { Entry, Tree } from './positions.ts';
import { isNull, show } from './values.ts';
import { nearest } from './suggest.ts';

/** A key that has no effect here, or may not be used, and the sentence that says so. */
export interface Row {
  key: string;
  reason: string;
  /** Values (as text) that ask for nothing, such as `false`, and are let through in silence. */
  harmless?: readonly string[];
}

export interface Rules {
  known: readonly string[];
  /** Warnings. */
  ignored?: readonly Row[];
  /** Errors. */
  refused?: readonly Row[];
  /** Keys that are no keys at all but are often written, with what is meant. Errors. */
  mistaken?: readonly Row[];
  /** What the mapping is called in messages. */
  what: string;
}

/** The values of a mapping by key; keys without a value (`key:`) count as not given. */
export type Fields = ReadonlyMap<string, Tree>;

/** Checks every key of a mapping against what is known, ignored and refused, and returns the known ones. */
export function fields(f: Findings, node: Tree, rules: Rules): Fields {
  const found = new Map<string, Tree>();
  if (node.kind !== 'map') {
    f.error(node, `must be a mapping, not ${show(node)}`);
    return found;
  }
  for (const entry of node.entries) {
    if (rules.known.includes(entry.key)) {
      if (!isNull(entry.value)) found.set(entry.key, entry.value);
      continue;
    }
    const refused = rules.refused?.find((row) => row.key === entry.key);
    const ignored = rules.ignored?.find((row) => row.key === entry.key);
    if (refused !== undefined) {
      if (!asksForNothing(entry.value, refused)) f.error(entry, `refused because ${refused.reason}`);
    } else if (ignored !== undefined) {
      if (!asksForNothing(entry.value, ignored)) f.warn(entry, `has no effect: ${ignored.reason}`);
    } else {
      unknown(f, entry, rules);
    }
  }
  return found;
}

function asksForNothing(value: Tree, row: Row): boolean {
  if (value.kind === 'map') return value.entries.length === 0;
  if (value.kind === 'list') return value.items.length === 0;
  if (value.value === null) return true;
  if (row.harmless === undefined) return false;
  return value.deferred || row.harmless.includes(value.text);
}

function unknown(f: Findings, entry: Entry, rules: Rules): void {
  if (entry.key.startsWith('x-') && entry.key !== 'x-berth') return;
  if (entry.key === 'x-berth') {
    f.error(entry, '`x-berth` stands at the top level or directly under a service, not here');
    return;
  }
  const all = [
    ...rules.known,
    ...(rules.ignored ?? []).map((row) => row.key),
    ...(rules.refused ?? []).map((row) => row.key),
  ];
  const key = entry.key.slice(0, 80);
  const meant = rules.mistaken?.find((row) => row.key === entry.key);
  if (meant !== undefined) {
    f.error(entry, `\`${key}\` is not a key of ${rules.what}: ${meant.reason}`);
    return;
  }
  const near = nearest(entry.key, all);
  f.error(
    entry,
    `\`${key}\` is not a key of ${rules.what}${near === undefined ? '' : `; did you mean \`${near}\`?`}`,
  );
}
