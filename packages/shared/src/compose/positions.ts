import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument } from 'yaml';
import type { Alias, Document, Node, Pair, Scalar as YamlScalar } from 'yaml';
import type { Findings, Spot } from './findings.ts';
import { pathOf } from './findings.ts';

/**
 * A small tree of a YAML document in which everything knows its line, column and path. Aliases and merge keys are
 * already resolved: a value that came through an alias has the line where it is written and the path where it is used.
 */
export type Tree = Scalar | Mapping | List;

export interface Scalar extends Spot {
  kind: 'scalar';
  value: string | number | boolean | null;
  /** The value as text, as Compose would write it. Empty for null. */
  text: string;
  /** What is written in the file; shown in messages instead of a value that came from a variable. */
  source: string;
  /** Contains the value of a variable, which may be a secret. */
  filled: boolean;
  /** Contains a variable whose value is not known yet, so the value cannot be checked. */
  deferred: boolean;
}

export interface Entry extends Spot {
  key: string;
  value: Tree;
}

export interface Mapping extends Spot {
  kind: 'map';
  entries: Entry[];
}

export interface List extends Spot {
  kind: 'list';
  items: Tree[];
}

export const MAX_TEXT = 256 * 1024;
const MAX_NODES = 50_000;
const MAX_DEPTH = 40;
const CORE_TAGS = /^(tag:yaml\.org,2002:(str|int|float|bool|null|map|seq)|!)$/;

/** Thrown inside this file only, to leave a walk that grew too large. */
class TooLarge extends Error {}

/** Parses YAML 1.2 (core schema, with `<<`). Problems go to `findings`; undefined when there is no usable tree. */
export function readTree(text: string, findings: Findings): Tree | undefined {
  const top: Spot = { line: 1, column: 1, path: '' };
  if (text.length > MAX_TEXT) {
    findings.error(top, `the file is larger than ${MAX_TEXT / 1024} KB`);
    return undefined;
  }
  const lines = new LineCounter();
  let document: Document.Parsed;
  try {
    document = parseDocument(text, {
      lineCounter: lines,
      uniqueKeys: false,
      prettyErrors: false,
      strict: true,
      // Lower would hide that there is more than one document.
      logLevel: 'error',
    });
  } catch (thrown) {
    // The YAML library recurses; a few thousand open brackets exhaust its stack.
    findings.error(
      top,
      `the file is not YAML that can be read: ${thrown instanceof Error ? thrown.name : 'unknown'}`,
    );
    return undefined;
  }
  for (const problem of document.errors) {
    const at = lines.linePos(problem.pos[0]);
    findings.error(
      { line: at.line, column: at.col, path: '' },
      `not valid YAML: ${firstLine(problem.message)}`,
    );
  }
  if (document.errors.length > 0) return undefined;
  if (document.contents === null) {
    findings.error(top, 'the file is empty');
    return undefined;
  }
  try {
    return new Walk(document, lines, findings).tree(document.contents, '', 0);
  } catch (thrown) {
    if (!(thrown instanceof TooLarge || thrown instanceof RangeError)) throw thrown;
    findings.error(
      top,
      `the file is too large or too deep once its aliases are expanded (${MAX_NODES} values, ${MAX_DEPTH} levels)`,
    );
    return undefined;
  }
}

function firstLine(message: string): string {
  return (message.split('\n')[0] ?? message).trim();
}

class Walk {
  readonly #document: Document.Parsed;
  readonly #lines: LineCounter;
  readonly #findings: Findings;
  /** Anchors are found by name and place: an alias means the nearest one before it. */
  #anchors: Map<string, Node[]> | undefined;
  #nodes = 0;

  constructor(document: Document.Parsed, lines: LineCounter, findings: Findings) {
    this.#document = document;
    this.#lines = lines;
    this.#findings = findings;
  }

  tree(node: unknown, path: string, depth: number): Tree {
    this.#nodes += 1;
    if (this.#nodes > MAX_NODES || depth > MAX_DEPTH) throw new TooLarge();
    const at = this.#spot(node, path);
    if (isAlias(node)) {
      const target = this.#resolve(node);
      return target === undefined ? nothing(at) : this.tree(target, path, depth + 1);
    }
    if (isScalar(node)) return this.#scalar(node, at);
    if (isSeq(node)) {
      this.#checkTag(node, at);
      return {
        ...at,
        kind: 'list',
        items: node.items.map((item, i) => this.tree(item, `${path}[${i}]`, depth + 1)),
      };
    }
    if (isMap(node)) {
      this.#checkTag(node, at);
      return { ...at, kind: 'map', entries: this.#entries(node.items, path, depth) };
    }
    return nothing(at);
  }

  #entries(pairs: readonly Pair[], path: string, depth: number): Entry[] {
    const own = new Map<string, Entry>();
    const merged = new Map<string, Entry>();
    const seen = new Map<string, number>();
    for (const pair of pairs) {
      const spot = this.#spot(pair.key, path);
      if (!isScalar(pair.key)) {
        this.#findings.error(spot, 'a key must be plain text');
        continue;
      }
      const key = textOf(pair.key);
      const where = { ...spot, path: pathOf(path, key) };
      const before = seen.get(key);
      if (before !== undefined) {
        this.#findings.error(
          where,
          `the key \`${key.slice(0, 80)}\` is given twice; the first is on line ${before}`,
        );
        continue;
      }
      seen.set(key, where.line);
      if (key === '<<' && pair.key.type === 'PLAIN') {
        for (const entry of this.#merge(pair.value, path, depth, where)) {
          if (!merged.has(entry.key)) merged.set(entry.key, entry);
        }
        continue;
      }
      const value = this.tree(pair.value, where.path, depth + 1);
      // What is wrong with a whole mapping or list is said at its key, not at the line where its content begins.
      const below = value.kind !== 'scalar' && value.line > where.line && !isAlias(pair.value);
      own.set(key, {
        ...where,
        key,
        value: below ? { ...value, line: where.line, column: where.column } : value,
      });
    }
    return [...own.values(), ...[...merged.values()].filter((entry) => !own.has(entry.key))];
  }

  /** What `<<: *a` or `<<: [*a, *b]` brings in; earlier ones win. */
  #merge(value: unknown, path: string, depth: number, where: Spot): Entry[] {
    const target = isAlias(value) ? this.#resolve(value) : value;
    if (isMap(target)) {
      const tree = this.tree(target, path, depth + 1);
      return tree.kind === 'map' ? tree.entries : [];
    }
    if (isSeq(target)) {
      if (depth > MAX_DEPTH) throw new TooLarge();
      return target.items.flatMap((item) => this.#merge(item, path, depth + 1, where));
    }
    if (target !== undefined)
      this.#findings.error(where, '`<<` takes a mapping, an alias of one, or a list of them');
    return [];
  }

  #resolve(alias: Alias): Node | undefined {
    this.#anchors ??= anchorsOf(this.#document);
    const from = alias.range?.[0] ?? 0;
    const found = this.#anchors.get(alias.source)?.findLast((node) => (node.range?.[0] ?? 0) < from);
    if (found === undefined) {
      this.#findings.error(this.#spot(alias, ''), `no anchor \`&${alias.source}\` stands before this alias`);
    }
    return found;
  }

  #scalar(node: YamlScalar, at: Spot): Scalar {
    this.#checkTag(node, at);
    const text = textOf(node);
    const { value } = node;
    const known = typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean';
    return {
      ...at,
      kind: 'scalar',
      value: known ? value : value === null || value === undefined ? null : text,
      text,
      source: typeof value === 'string' ? value : text,
      filled: false,
      deferred: false,
    };
  }

  #checkTag(node: Node & { tag?: string | undefined }, at: Spot): void {
    if (node.tag === undefined || CORE_TAGS.test(node.tag)) return;
    this.#findings.error(
      at,
      `the YAML tag \`${node.tag.slice(0, 80)}\` is not supported; write the value without it`,
    );
  }

  #spot(node: unknown, path: string): Spot {
    const offset = isAlias(node) || isScalar(node) || isMap(node) || isSeq(node) ? (node.range?.[0] ?? 0) : 0;
    const at = this.#lines.linePos(offset);
    return { line: Math.max(1, at.line), column: Math.max(1, at.col), path };
  }
}

function anchorsOf(document: Document.Parsed): Map<string, Node[]> {
  const anchors = new Map<string, Node[]>();
  const visit = (node: unknown): void => {
    if ((isScalar(node) || isMap(node) || isSeq(node)) && node.anchor !== undefined) {
      const list = anchors.get(node.anchor) ?? [];
      list.push(node);
      anchors.set(node.anchor, list);
    }
    if (isSeq(node)) node.items.forEach(visit);
    if (isMap(node)) {
      for (const pair of node.items) {
        visit(pair.key);
        visit(pair.value);
      }
    }
  };
  visit(document.contents);
  return anchors;
}

function nothing(at: Spot): Scalar {
  return { ...at, kind: 'scalar', value: null, text: '', source: '', filled: false, deferred: false };
}

/** Whole numbers stay as written (`022`, `0x1f`, 20-digit ids); the rest is written as JavaScript and Compose write it. */
function textOf(node: YamlScalar): string {
  const { value } = node;
  if (value === null || value === undefined) return '';
  if (
    typeof value === 'number' &&
    typeof node.source === 'string' &&
    /^[-+]?[0-9]+$|^0[xo]/.test(node.source)
  )
    return node.source;
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
    ? String(value)
    : '';
}
