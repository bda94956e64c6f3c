import { z } from 'zod';
import { exactBytes, exactDuration } from '../output/format.ts';
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
  const shown = (value: string | null, paint: (text: string) => string): string => {
    if (value === null) return style.dim(none);
    return value === '' ? style.dim('(empty)') : paint(valueWords(change.path, value));
  };
  const before = shown(change.before, style.red);
  const after = shown(change.after, style.green);
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

function recordWords(record: Readonly<Record<string, unknown>>): string {
  return Object.entries(record)
    .map(([name, value]) => `${ownWords(name)} ${valueWords(name, asText(value))}`)
    .join(', ');
}

const asText = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value));

/** More of one value than this tells nobody more; --json has all of it. */
const MOST = 240;

function oneLine(text: string): string {
  const line = clean(text.replaceAll('\n', '\\n'));
  return line.length <= MOST ? line : `${line.slice(0, MOST)}… (${text.length} characters)`;
}

/** `sha256:` and the first twelve characters, which is how people know an image's digest. */
export function shortDigests(text: string): string {
  return text.replaceAll(/@sha256:([0-9a-f]{12})[0-9a-f]{52}/g, '@sha256:$1…');
}
