import { parseDotenv } from './dotenv.ts';
import { fields } from './fields.ts';
import type { Spot } from './findings.ts';
import { Findings } from './findings.ts';
import type { Tree } from './positions.ts';
import { MAX_TEXT, readTree } from './positions.ts';
import type { Filling } from './substitute.ts';
import { fill } from './substitute.ts';
import { boolean, choice, isNull, itemsOrOne, pairs, scalar, show } from './values.ts';

export interface EnvFile {
  path: string;
  required: boolean;
  format: 'default' | 'raw';
  at: Spot;
}

/**
 * `env_file` and then `environment`, which wins. A name without a value takes the tenant's variable of that name, and
 * is left out when there is none.
 */
export function readEnvironment(
  filling: Filling,
  service: string,
  environment: Tree | undefined,
  envFile: Tree | undefined,
  contents: Readonly<Record<string, string>>,
): Record<string, string> {
  const f = filling.findings;
  const result = new Map<string, string>();
  for (const file of envFile === undefined ? [] : readEnvFiles(f, envFile)) {
    const content = Object.hasOwn(contents, file.path) ? contents[file.path] : undefined;
    if (content !== undefined) applyFile(filling, service, file, content, result);
    else if (file.required) {
      f.error(file.at, `the env file \`${file.path}\` was not found; create it, or write required: false`);
    }
  }
  for (const { key, shown, value, deferred, node } of environment === undefined
    ? []
    : pairs(f, environment)) {
    if (!/^[^\s=\0]{1,256}$/.test(key)) {
      f.error(node, `${shown} cannot be the name of an environment variable`);
    } else if (value !== undefined || deferred) {
      result.set(key, value ?? '');
    } else {
      filling.variables.noteName(key, service);
      const own = filling.lookup(key);
      if (own !== undefined) result.set(key, own);
    }
  }
  return Object.fromEntries(result);
}

function applyFile(
  filling: Filling,
  service: string,
  file: EnvFile,
  content: string,
  result: Map<string, string>,
): void {
  const f = filling.findings;
  if (content.length > MAX_TEXT) {
    f.error(file.at, `the env file \`${file.path}\` is larger than ${MAX_TEXT / 1024} KB`);
    return;
  }
  const parsed = parseDotenv(content, file.format);
  for (const problem of parsed.problems) f.error(file.at, `${file.path}:${problem.line} ${problem.message}`);
  const above = new Map<string, string>();
  for (const entry of parsed.entries) {
    if (entry.value === undefined) {
      filling.variables.noteName(entry.name, service);
      const own = filling.lookup(entry.name);
      if (own !== undefined) result.set(entry.name, own);
      continue;
    }
    const note = `${file.path}:${entry.line} `;
    if (entry.value.includes('\0')) {
      f.error(file.at, `${note}contains a NUL character`);
      continue;
    }
    const value = entry.expands
      ? fill(entry.value, file.at, filling, service, note, above)?.text
      : entry.value;
    above.set(entry.name, value ?? '');
    result.set(entry.name, value ?? '');
  }
}

/** The env files of one service, in the order in which they are read. */
export function readEnvFiles(f: Findings, node: Tree): EnvFile[] {
  return itemsOrOneMapping(f, node).flatMap((item): EnvFile[] => {
    if (item.kind !== 'map') {
      const path = readPath(f, item);
      return path === undefined ? [] : [{ path, required: true, format: 'default', at: item }];
    }
    const given = fields(f, item, { what: 'env_file', known: ['path', 'required', 'format'] });
    const pathNode = given.get('path');
    if (pathNode === undefined) {
      f.error(item, 'has no path');
      return [];
    }
    const requiredNode = given.get('required');
    const formatNode = given.get('format');
    const path = readPath(f, pathNode);
    const required = requiredNode === undefined ? true : (boolean(f, requiredNode) ?? true);
    const format =
      formatNode === undefined ? 'default' : (choice(f, formatNode, ['default', 'raw']) ?? 'default');
    return path === undefined ? [] : [{ path, required, format, at: item }];
  });
}

function itemsOrOneMapping(f: Findings, node: Tree): Tree[] {
  return node.kind === 'map' ? [node] : itemsOrOne(f, node);
}

/** An env file is read when a release is made, before any tenant's variables exist. */
function readPath(f: Findings, node: Tree): string | undefined {
  if (node.kind === 'scalar' && node.source.includes('$')) {
    f.error(
      node,
      `the path of an env file cannot hold a variable, as ${show(node)} does: it is read when the release is made`,
    );
    return undefined;
  }
  const found = scalar(f, node, 'the path of a file');
  if (found === undefined) return undefined;
  if (found.text.trim() !== '') return found.text;
  f.error(node, 'must be the path of a file, not an empty text');
  return undefined;
}

/** The files that `env_file` names, as written, so that whoever makes a release can read them. Never throws. */
export function wantedEnvFiles(text: string): { path: string; required: boolean }[] {
  const findings = new Findings();
  const tree = readTree(text, findings);
  const wanted = new Map<string, boolean>();
  for (const service of entriesOf(child(tree, 'services'))) {
    const profiles = child(service, 'profiles');
    if (profiles !== undefined && !(profiles.kind === 'list' && profiles.items.length === 0)) continue;
    const envFile = child(service, 'env_file');
    for (const file of envFile === undefined ? [] : readEnvFiles(findings, envFile)) {
      wanted.set(file.path, (wanted.get(file.path) ?? false) || file.required);
    }
  }
  return [...wanted].map(([path, required]) => ({ path, required }));
}

function entriesOf(tree: Tree | undefined): Tree[] {
  return tree?.kind === 'map' ? tree.entries.map((entry) => entry.value) : [];
}

function child(tree: Tree | undefined, key: string): Tree | undefined {
  if (tree?.kind !== 'map') return undefined;
  const found = tree.entries.find((entry) => entry.key === key)?.value;
  return found === undefined || isNull(found) ? undefined : found;
}
