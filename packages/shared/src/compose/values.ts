import type { Findings } from './findings.ts';
import type { Entry, Mapping, Scalar, Tree } from './positions.ts';
import { parseDuration, parseSize } from './units.ts';

/**
 * Readers of single values. Each returns undefined when the value is wrong (the error is in the findings) or is not
 * known yet (deferred); the caller then goes on with its default, so that everything wrong is found in one pass.
 */

/** A value for a message. What came from a variable may be a secret, so the file's own text is shown instead. */
export function show(node: Tree): string {
  if (node.kind === 'map') return 'a mapping';
  if (node.kind === 'list') return 'a list';
  if (node.value === null) return 'nothing';
  const text = node.filled || node.deferred ? node.source : node.text;
  if (text === '') return 'an empty text';
  return `${quote(text)}${node.filled ? ' (filled in)' : ''}`;
}

export function isDeferred(node: Tree | undefined): boolean {
  return node?.kind === 'scalar' && node.deferred;
}

export function isNull(node: Tree): boolean {
  return node.kind === 'scalar' && node.value === null;
}

/** The scalar, if it is one with a value that is known. */
export function scalar(f: Findings, node: Tree, what = 'a text'): Scalar | undefined {
  if (node.kind !== 'scalar') {
    f.error(node, `must be ${what}, not ${show(node)}`);
    return undefined;
  }
  if (node.deferred) return undefined;
  if (node.value === null) {
    f.error(node, `must be ${what}, not nothing`);
    return undefined;
  }
  if (node.text.includes('\0')) {
    f.error(node, 'must not contain a NUL character');
    return undefined;
  }
  return node;
}

/** Any scalar as text. `pattern`, when given, must match, else `what` says what was expected. */
export function text(f: Findings, node: Tree, what = 'a text', pattern?: RegExp): string | undefined {
  const found = scalar(f, node, what);
  if (found === undefined) return undefined;
  if (pattern !== undefined && !pattern.test(found.text)) {
    f.error(node, `must be ${what}, not ${show(node)}`);
    return undefined;
  }
  return found.text;
}

export function integer(f: Findings, node: Tree, min: number, max: number): number | undefined {
  const what = `a whole number from ${min} to ${max}`;
  const found = text(f, node, what, /^[-+]?[0-9]{1,18}$/);
  if (found === undefined) return undefined;
  const value = Number(found);
  if (value >= min && value <= max) return value;
  f.error(node, `must be ${what}, not ${show(node)}`);
  return undefined;
}

export function decimal(f: Findings, node: Tree, min: number, max: number): number | undefined {
  const what = `a number from ${min} to ${max}`;
  const found = text(f, node, what, /^[0-9]{0,9}(\.[0-9]{0,9})?$/);
  if (found === undefined) return undefined;
  const value = Number(found);
  if (found !== '' && found !== '.' && value >= min && value <= max) return value;
  f.error(node, `must be ${what}, not ${show(node)}`);
  return undefined;
}

export function boolean(f: Findings, node: Tree): boolean | undefined {
  const found = scalar(f, node, 'true or false');
  if (found === undefined) return undefined;
  const word = found.text.toLowerCase();
  if (['true', 'yes', 'on', 'y', '1'].includes(word)) return true;
  if (['false', 'no', 'off', 'n', '0'].includes(word)) return false;
  f.error(node, `must be true or false, not ${show(node)}`);
  return undefined;
}

/** Whole milliseconds, at least `min`. */
export function duration(f: Findings, node: Tree, min = 0): number | undefined {
  const what = 'a duration such as 30s, 1m30s or 500ms, of a week at most';
  const found = scalar(f, node, what);
  if (found === undefined) return undefined;
  const ms = parseDuration(found.text);
  if (ms !== undefined && ms >= min) return ms;
  f.error(
    node,
    ms === undefined ? `must be ${what}, not ${show(node)}` : `must be at least ${min} ms, not ${show(node)}`,
  );
  return undefined;
}

/** Bytes. */
export function size(f: Findings, node: Tree): number | undefined {
  const what = 'a size such as 512m, 1g or a number of bytes';
  const found = scalar(f, node, what);
  if (found === undefined) return undefined;
  const bytes = parseSize(found.text);
  if (bytes !== undefined && bytes > 0) return bytes;
  const why = bytes === 0 ? ' (0 would be no limit, and every container has one)' : '';
  f.error(node, `must be ${what}, not ${show(node)}${why}`);
  return undefined;
}

export function choice<const T extends string>(
  f: Findings,
  node: Tree,
  options: readonly T[],
): T | undefined {
  const found = scalar(f, node, `one of ${options.join(', ')}`);
  if (found === undefined) return undefined;
  const option = options.find((one) => one === found.text);
  if (option === undefined) f.error(node, `must be one of ${options.join(', ')}, not ${show(node)}`);
  return option;
}

/** The items of a list, or of a single scalar as a list of one. */
export function itemsOrOne(f: Findings, node: Tree): Tree[] {
  if (node.kind === 'list') return node.items;
  if (node.kind === 'scalar') return [node];
  f.error(node, 'must be a list');
  return [];
}

export function items(f: Findings, node: Tree): Tree[] {
  if (node.kind === 'list') return node.items;
  f.error(node, `must be a list, not ${show(node)}`);
  return [];
}

/** A list of texts; wrong ones are left out. */
export function texts(f: Findings, node: Tree): string[] {
  return items(f, node).flatMap((item) => text(f, item) ?? []);
}

export function mapping(f: Findings, node: Tree): Mapping | undefined {
  if (node.kind === 'map') return node;
  f.error(node, `must be a mapping, not ${show(node)}`);
  return undefined;
}

export interface PairFound {
  key: string;
  /** The key for a message: never the value of a variable. */
  shown: string;
  /** Undefined: no value was given. */
  value: string | undefined;
  /** The value holds a variable that is not known yet. */
  deferred: boolean;
  node: Tree;
}

/** A text for a message: in backticks, not too long. */
export function quote(word: string): string {
  return `\`${word.length > 80 ? `${word.slice(0, 80)}…` : word}\``;
}

/** `KEY: value` mappings and `- KEY=value` lists, which Compose takes for environment, labels, sysctls and others. */
export function pairs(f: Findings, node: Tree, separators: readonly string[] = ['=']): PairFound[] {
  if (node.kind === 'map') return node.entries.flatMap((entry) => pairOfEntry(f, entry));
  if (node.kind !== 'list') {
    f.error(node, `must be a mapping or a list of KEY=value, not ${show(node)}`);
    return [];
  }
  return node.items.flatMap((item): PairFound[] => {
    const source = item.kind === 'scalar' && item.deferred ? item : scalar(f, item, 'KEY=value');
    if (source === undefined) return [];
    const at = Math.min(...separators.map((one) => source.text.indexOf(one)).filter((index) => index > 0));
    const key = Number.isFinite(at) ? source.text.slice(0, at) : source.text;
    const value = Number.isFinite(at) ? source.text.slice(at + 1) : undefined;
    if (key === '' || separators.some((one) => key.startsWith(one))) {
      if (!source.deferred) f.error(item, 'must be KEY=value, with a name before the sign');
      return [];
    }
    const shown = item.kind === 'scalar' && item.filled ? show(item) : quote(key);
    return [{ key, shown, value, deferred: source.deferred, node: item }];
  });
}

function pairOfEntry(f: Findings, entry: Entry): PairFound[] {
  const { key, value } = entry;
  if (key === '') {
    f.error(entry, 'must have a name');
    return [];
  }
  if (value.kind !== 'scalar') {
    f.error(value, `must be a single value, not ${show(value)}`);
    return [];
  }
  if (value.value === null)
    return [{ key, shown: quote(key), value: undefined, deferred: false, node: value }];
  if (value.deferred) return [{ key, shown: quote(key), value: '', deferred: true, node: value }];
  return scalar(f, value) === undefined
    ? []
    : [{ key, shown: quote(key), value: value.text, deferred: false, node: value }];
}
