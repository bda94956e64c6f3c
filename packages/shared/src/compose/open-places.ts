import type { Open, OpenPart } from '../domain/signature.ts';
import { parseDotenv } from './dotenv.ts';
import { readEnvFiles } from './environment.ts';
import type { Findings } from './findings.ts';
import { IGNORED_IN_SERVICE } from './ignored.ts';
import { parseInterpolation, type Part } from './interpolate.ts';
import type { Entry, Mapping, Tree } from './positions.ts';

/** Values that are the same for every tenant: the release's own, and what Berth gives all of them. */
export type Fixed = Readonly<Record<string, string>>;

/**
 * Where a template holds a variable that is another for each tenant. In the environment that is an open value, in sizes and
 * names an open part; anywhere else it would let whoever sets it choose what runs, which is an error with its line.
 */
export function openPlaces(
  tree: Tree,
  services: readonly string[],
  envFiles: Fixed,
  fixed: Fixed,
  findings: Findings,
): Open {
  const open: Record<string, Open[string]> = {};
  for (const { key: service, value } of entriesOf(child(tree, 'services'))) {
    if (!services.includes(service) || value.kind !== 'map') continue;
    const found = openIn(value, envFiles, fixed, findings);
    if (found.environment.length + found.parts.length > 0) open[service] = found;
  }
  for (const { key, value } of entriesOf(tree))
    if (key === 'x-berth' || key === 'secrets') refuse(value, fixed, findings);
  return open;
}

const LIMITS = new Set(['mem_limit', 'mem_reservation', 'cpus', 'pids_limit']);
/** `image` is pinned, whatever its name was made of. */
const NO_MATTER = new Set(['image', 'build', 'expose', ...IGNORED_IN_SERVICE.map((row) => row.key)]);

function openIn(service: Mapping, envFiles: Fixed, fixed: Fixed, f: Findings): Open[string] {
  const parts = new Set<OpenPart>();
  const opens = (part: OpenPart, node: Tree): void => {
    if (holds(node, fixed)) parts.add(part);
  };
  for (const { key, value } of service.entries) {
    if (NO_MATTER.has(key) || (key.startsWith('x-') && key !== 'x-berth')) continue;
    if (key === 'environment' || key === 'env_file') continue;
    if (LIMITS.has(key)) opens('limits', value);
    else if (key === 'scale') opens('replicas', value);
    else if (key === 'hostname' || key === 'labels') opens(key, value);
    else if (key === 'logging') {
      opens('logging', child(value, 'options') ?? value);
      for (const entry of entriesOf(value)) if (entry.key !== 'options') refuse(entry.value, fixed, f);
    } else if (key === 'deploy') {
      for (const entry of entriesOf(value)) {
        if (entry.key === 'resources') opens('limits', entry.value);
        else if (entry.key === 'replicas') opens('replicas', entry.value);
        else if (entry.key === 'restart_policy') refuse(entry.value, fixed, f);
      }
    } else refuse(value, fixed, f);
  }
  return { environment: openNames(service, envFiles, fixed, f), parts: [...parts].sort() };
}

/** Env files come first, and `environment` has the last word on a name. */
function openNames(service: Mapping, envFiles: Fixed, fixed: Fixed, f: Findings): string[] {
  const open = new Map<string, boolean>();
  const files = child(service, 'env_file');
  for (const { path, format } of files === undefined ? [] : readEnvFiles(f, files)) {
    const content = Object.hasOwn(envFiles, path) ? envFiles[path] : undefined;
    for (const { name, value, expands } of parseDotenv(content ?? '', format).entries) {
      // Also a name from further up in the file gives way to a tenant's variable of that name.
      open.set(
        name,
        value === undefined ? !Object.hasOwn(fixed, name) : expands && openVariables(value, fixed).length > 0,
      );
    }
  }
  const environment = child(service, 'environment');
  if (environment?.kind === 'map')
    for (const { key, value } of environment.entries)
      open.set(
        key,
        value.kind === 'scalar' && value.value === null ? !Object.hasOwn(fixed, key) : holds(value, fixed),
      );
  if (environment?.kind === 'list')
    for (const item of environment.items) {
      if (item.kind !== 'scalar') continue;
      const at = item.text.indexOf('=');
      const name = at > 0 ? item.text.slice(0, at) : item.text;
      if (openVariables(name, fixed).length > 0) refuse(item, fixed, f);
      else
        open.set(
          name,
          at > 0 ? openVariables(item.text.slice(at + 1), fixed).length > 0 : !Object.hasOwn(fixed, name),
        );
    }
  return [...open].flatMap(([name, isOpen]) => (isOpen ? [name] : [])).sort();
}

function refuse(tree: Tree, fixed: Fixed, f: Findings): void {
  switch (tree.kind) {
    case 'map':
      for (const { value } of tree.entries) refuse(value, fixed, f);
      return;
    case 'list':
      for (const item of tree.items) refuse(item, fixed, f);
      return;
    case 'scalar':
      for (const name of typeof tree.value === 'string' ? openVariables(tree.value, fixed) : [])
        f.error(
          tree,
          `holds the variable \`${name}\`, which is another for each tenant; a signed release leaves them only the environment, limits, replicas, hostname, labels and logging options. Give it with --set ${name}=…, or write the value into the file`,
        );
  }
}

function holds(tree: Tree, fixed: Fixed): boolean {
  switch (tree.kind) {
    case 'map':
      return tree.entries.some(({ value }) => holds(value, fixed));
    case 'list':
      return tree.items.some((item) => holds(item, fixed));
    case 'scalar':
      return typeof tree.value === 'string' && openVariables(tree.value, fixed).length > 0;
  }
}

/** The variables of a text that decide what becomes of it and are not fixed. */
function openVariables(text: string, fixed: Fixed): string[] {
  if (!text.includes('$')) return [];
  const parsed = parseInterpolation(text);
  return parsed.ok ? [...new Set(namesIn(parsed.parts, fixed))] : [];
}

function namesIn(parts: readonly Part[], fixed: Fixed): string[] {
  return parts.flatMap((part) => {
    if (part.kind === 'text') return [];
    if (!Object.hasOwn(fixed, part.name)) return [part.name, ...namesIn(part.rest, fixed)];
    const present = !(part.colon && fixed[part.name] === '');
    const counts = part.operator === 'replace' ? present : part.operator === 'default' && !present;
    return counts ? namesIn(part.rest, fixed) : [];
  });
}

function entriesOf(tree: Tree | undefined): readonly Entry[] {
  return tree?.kind === 'map' ? tree.entries : [];
}

function child(tree: Tree | undefined, key: string): Tree | undefined {
  return entriesOf(tree).find((entry) => entry.key === key)?.value;
}
