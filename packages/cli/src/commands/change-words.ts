import { z } from 'zod';
import { exactBytes, exactDuration, shortDigests } from '../output/format.ts';
import { widthOf, clean, type Style } from '../output/style.ts';

/** A field of a tenant or a release that differs, as the API names it: `services.web.limits.memoryBytes`. */
export interface FieldChange {
  path: string;
  before: string | null;
  after: string | null;
}

/** `web memory limit: 256 MiB → 384 MiB`; before and after below each other where that is wider than the room. */
export function fieldChange(change: FieldChange, style: Style, indent: number, none = '(unset)'): string {
  const what = fieldWords(change.path);
  const said = (value: string | null): string => (value === null ? '' : valueWords(change.path, value));
  const shown = (value: string | null, other: string | null, paint: (text: string) => string): string => {
    if (value === null) return style.dim(none);
    return value === '' ? style.dim('(empty)') : paint(partOf(said(value), said(other)));
  };
  const before = shown(change.before, change.after, style.red);
  const after = shown(change.after, change.before, style.green);
  const line = `${what}: ${before} → ${after}`;
  if (indent + widthOf(line) <= style.room()) return line;
  const below = ' '.repeat(indent + 2);
  return `${what}:\n${below}${before}\n${below}→ ${after}`;
}

/** Fields that hold what the app's author named, and how one of them is called. What is named stays as it was written. */
const NAMED: Readonly<Record<string, string>> = {
  environment: 'environment',
  labels: 'label',
  variables: 'variable',
  sysctls: 'sysctl',
  extraHosts: 'extra host',
  secrets: 'secret file',
  secretEnv: 'secret in variable',
  'logging.options': 'log option',
};

const WORDS: Readonly<Record<string, string>> = {
  'operator-egress': "egress (an operator's word)",
  'limits.memoryBytes': 'memory limit',
  'limits.cpus': 'CPU limit',
  'limits.pids': 'process limit',
  'reservation.memoryBytes': 'memory reserved',
  'reservation.cpus': 'CPUs reserved',
  shmSizeBytes: 'shared memory',
  groupAdd: 'extra groups',
  workingDir: 'working directory',
  dependsOn: 'depends on',
  tty: 'terminal',
  init: 'init process',
  'release.service': 'release command of',
  'release.command': 'release command',
  'release.timeoutMs': 'time for the release command',
  'release.irreversible': 'release command irreversible',
};

/** A field in words: `services.web.limits.memoryBytes` is `web memory limit`, `bakeMs` is `bake`. */
export function fieldWords(path: string): string {
  const [, service, field] = /^services\.([^.]+)\.(.+)$/.exec(path) ?? [];
  if (service === undefined || field === undefined) return clean(ownWords(path));
  return clean(`${service} ${ownWords(field)}`);
}

/** The field of a service or of the whole tenant, without whose it is. */
function ownWords(field: string): string {
  const named = namedIn(field);
  if (named !== null) return `${NAMED[named] ?? named} ${field.slice(named.length + 1)}`;
  const words = WORDS[field];
  if (words !== undefined) return words;
  return field
    .replace(/(Ms|Bytes)$/, '')
    .replaceAll(/([a-z])([A-Z])/g, (_, before: string, letter: string) => `${before} ${letter.toLowerCase()}`)
    .replaceAll(/(?<=[a-z])\.(?=[a-z])/g, ' ');
}

function namedIn(field: string): string | null {
  return Object.keys(NAMED).find((name) => field.startsWith(`${name}.`)) ?? null;
}

const Json = z.string().transform((text, context): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    context.addIssue('no JSON');
    return z.NEVER;
  }
});
const Scalars = z.array(z.union([z.string(), z.number(), z.boolean()]));
const Records = z.array(z.record(z.string(), z.unknown()));

/** A value as people say it: times and sizes with their units, lists without brackets. What apps are given stays as it is. */
export function valueWords(path: string, value: string): string {
  const field = path.replace(/^services\.[^.]+\./, '');
  if (namedIn(field) !== null) return oneLine(value);
  if (field.startsWith('ulimits.')) return oneLine(value);
  if (/^\d+$/.test(value)) {
    if (field.endsWith('Ms')) return exactDuration(Number(value));
    if (field.endsWith('Bytes')) return exactBytes(Number(value));
  }
  if (value === 'true') return 'yes';
  if (value === 'false') return 'no';
  if (!value.startsWith('[')) return oneLine(shortDigests(value));
  const list = Json.safeParse(value);
  const scalars = Scalars.safeParse(list.data);
  // A command is its words, one after the other.
  const between = /(command|entrypoint|\.test)$/.test(field) ? ' ' : ', ';
  if (scalars.success) return oneLine(scalars.data.map(String).join(between)) || '(none)';
  const records = Records.safeParse(list.data);
  return oneLine(records.success ? records.data.map(recordWords).join('; ') : value);
}

const Mount = z.strictObject({ volume: z.string(), target: z.string(), readOnly: z.boolean() });
const Needs = z.strictObject({ service: z.string(), condition: z.string(), required: z.boolean() });

function recordWords(record: Readonly<Record<string, unknown>>): string {
  const mount = Mount.safeParse(record).data;
  if (mount !== undefined) return `${mount.volume} at ${mount.target}${mount.readOnly ? ' (read only)' : ''}`;
  const needs = Needs.safeParse(record).data;
  if (needs !== undefined)
    return `${needs.service} (${needs.condition}${needs.required ? '' : ', if it is there'})`;
  return Object.entries(record)
    .map(([name, value]) => `${ownWords(name)} ${valueWords(name, asText(value))}`)
    .join(', ');
}

const asText = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value));

const oneLine = (text: string): string => clean(text.replaceAll('\n', '\\n'));

/** More of one value than this tells nobody more; --json has all of it. */
const MOST = 240;
/** So much of what is the same is shown before what differs. */
const BEFORE = 40;

/** Of a very long value the part where it begins to differ from the other one. */
function partOf(value: string, other: string): string {
  const length = value.length;
  if (length <= MOST) return value;
  let same = 0;
  while (same < length && value[same] === other[same]) same += 1;
  const from = Math.max(0, Math.min(same - BEFORE, length - MOST));
  const rest = from + MOST < length ? '…' : '';
  return `${from > 0 ? '…' : ''}${value.slice(from, from + MOST)}${rest} (${length} characters)`;
}
