import type { ReleaseChange, ReleaseDiff } from '@berth/shared/api/releases';
import { renderTenant } from '@berth/shared/compose/render';
import type { Template } from '@berth/shared/compose/template';
import { writtenIn } from '@berth/shared/compose/written';
import type { TenantSpec } from '@berth/shared/domain/spec';
import { z } from 'zod';
import { leavesOf } from './diff.ts';
import { withPins } from './pinning.ts';
import type { ReleaseSource } from './records.ts';

/** A release with its parsed template. */
export interface DiffSide {
  source: ReleaseSource;
  template: Template;
}

/**
 * What changes from one release to another, for a tenant without variables of its own: what only a tenant's variables
 * decide is shown as `${NAME}`. A template that does not work out like that is compared as it is written.
 */
export function diffOf(
  before: DiffSide,
  after: DiffSide,
  appVariables: Readonly<Record<string, string>>,
): ReleaseDiff {
  const { app, release: from } = before.source;
  const { release: to } = after.source;
  const rendered = [renderedParts(before, appVariables), renderedParts(after, appVariables)] as const;
  const [old, fresh] = rendered;
  const compared = old === null || fresh === null ? 'template' : 'rendered';
  const changes =
    old === null || fresh === null
      ? changesOf(writtenParts(before), writtenParts(after))
      : changesOf(old, fresh);
  return { app, from, to, compared, changes };
}

/** One side, ready to be compared: leaves by service, null for the whole tenant; each with what may be shown of it. */
type Parts = Map<string | null, Map<string, Leaf>>;
interface Leaf {
  value: string;
  shown: string;
}

const HIDDEN = '(from an env file)';

function changesOf(before: Parts, after: Parts): ReleaseChange[] {
  const changes: ReleaseChange[] = [];
  for (const service of new Set([...before.keys(), ...after.keys()])) {
    const [old, fresh] = [before.get(service), after.get(service)];
    for (const path of new Set([...(old?.keys() ?? []), ...(fresh?.keys() ?? [])])) {
      const [was, is] = [old?.get(path), fresh?.get(path)];
      if (was?.value === is?.value) continue;
      const shown = is?.shown === HIDDEN && was?.shown === HIDDEN ? '(another, from an env file)' : is?.shown;
      const group = groupOf(service, path);
      changes.push({ group, service, path, before: was?.shown ?? null, after: shown ?? null });
    }
  }
  const order = ['images', 'environment', 'limits', 'routes', 'other'];
  const key = (change: ReleaseChange): string =>
    `${order.indexOf(change.group)} ${change.service ?? ''} ${change.path}`;
  return changes.sort((a, b) => (key(a) < key(b) ? -1 : 1));
}

const LIMITS =
  /^(limits|reservation|deploy|mem_limit|mem_reservation|cpus|pids_limit|ulimits|shmSizeBytes|shm_size)(\.|$)/;

function groupOf(service: string | null, path: string): ReleaseChange['group'] {
  if (service === null) return 'other';
  if (path === 'image') return 'images';
  if (/^(environment|env_file)(\.|$)/.test(path)) return 'environment';
  if (LIMITS.test(path)) return 'limits';
  return /^(route|x-berth\.route|ports)(\.|$)/.test(path) ? 'routes' : 'other';
}

function renderedParts(
  { source, template }: DiffSide,
  appVariables: Readonly<Record<string, string>>,
): Parts | null {
  const variables = {
    ...unresolved(source, template),
    ...appVariables,
    ...source.variables,
    BERTH_APP: source.app,
  };
  const real = renderTenant(template, variables);
  // With its env files emptied, what is missing or different came from them.
  const emptied = Object.fromEntries(Object.keys(template.envFiles).map((path) => [path, '']));
  const bare = renderTenant({ ...template, envFiles: emptied }, variables);
  if (!real.ok || !bare.ok) return null;
  const { services, ...rest } = withPins(real.spec, source.pins);
  const parts: Parts = new Map([[null, new Map([...leaves(rest), ...ownVariables(source)])]]);
  for (const { name, ...service } of services) {
    const found = leaves(service);
    for (const key of hiddenIn(name, real.spec, bare.spec)) {
      const path = `environment.${key}`;
      found.set(path, { value: found.get(path)?.value ?? '', shown: HIDDEN });
    }
    parts.set(name, withImage(found, name, source));
  }
  return parts;
}

/** `${NAME}` for each variable that neither the file nor the release decides. */
function unresolved(source: ReleaseSource, template: Template): Record<string, string> {
  return Object.fromEntries(
    template.variables.flatMap(({ name, default: fallback }) =>
      fallback === undefined ? [[name, `\${${name}}`]] : [],
    ),
  );
}

function hiddenIn(service: string, real: TenantSpec, bare: TenantSpec): string[] {
  const environmentOf = (spec: TenantSpec): Record<string, string> =>
    spec.services.find(({ name }) => name === service)?.environment ?? {};
  const without = new Map(Object.entries(environmentOf(bare)));
  return Object.entries(environmentOf(real)).flatMap(([key, value]) =>
    without.get(key) === value ? [] : [key],
  );
}

const Written = z.object({ services: z.record(z.string(), z.record(z.string(), z.unknown())) }).loose();

function writtenParts({ source, template }: DiffSide): Parts {
  const parsed = Written.safeParse(writtenIn(template));
  if (!parsed.success) return new Map();
  const { services, ...rest } = parsed.data;
  const files = Object.entries(template.envFiles).map(([path, text]): [string, Leaf] => [
    `env file ${path}`,
    { value: text, shown: HIDDEN },
  ]);
  const parts: Parts = new Map([[null, new Map([...leaves(rest), ...files, ...ownVariables(source)])]]);
  for (const [name, service] of Object.entries(services))
    if (template.services.includes(name)) parts.set(name, withImage(leaves(service), name, source));
  return parts;
}

/** A pinned image with both: its name for people, its digest for what it is. */
function withImage(found: Map<string, Leaf>, service: string, { pins }: ReleaseSource): Map<string, Leaf> {
  const pin = Object.hasOwn(pins, service) ? pins[service] : undefined;
  if (pin === undefined) return found;
  const value = pin.image.includes('@') ? pin.image : `${pin.image}@${pin.digest}`;
  return found.set('image', { value, shown: value });
}

function ownVariables(source: ReleaseSource): Map<string, Leaf> {
  return leaves({ variables: source.variables });
}

function leaves(value: Readonly<Record<string, unknown>>): Map<string, Leaf> {
  return new Map([...leavesOf(value)].map(([path, text]) => [path, { value: text, shown: text }]));
}
