import type { ServiceSpec } from '../domain/spec.ts';
import { fields } from './fields.ts';
import type { Findings } from './findings.ts';
import type { Tree } from './positions.ts';
import { nearest } from './suggest.ts';
import { parseSize } from './units.ts';
import { isDeferred, pairs, scalar, show } from './values.ts';

type Logging = ServiceSpec['logging'];

/** Logs stay on the host, and small: three files of 10 MB each. */
const ROTATION: Readonly<Record<string, string>> = { 'max-size': '10m', 'max-file': '3' };
export const DEFAULT_LOGGING: Logging = { driver: 'json-file', options: { ...ROTATION } };
const MOST_PER_FILE = 1024 ** 3;

const OPTIONS: Readonly<Record<Logging['driver'], readonly string[]>> = {
  'json-file': ['max-size', 'max-file', 'compress', 'labels', 'labels-regex', 'env', 'env-regex', 'tag'],
  local: ['max-size', 'max-file', 'compress'],
  awslogs: [
    'awslogs-group',
    'awslogs-region',
    'awslogs-stream',
    'awslogs-create-group',
    'awslogs-datetime-format',
    'awslogs-multiline-pattern',
    'tag',
  ],
  none: [],
};

/** `logging`: the drivers and options that reach nothing but the host's disk or CloudWatch. */
export function readLogging(f: Findings, node: Tree): Logging {
  const given = fields(f, node, { what: 'logging', known: ['driver', 'options'] });
  const driverNode = given.get('driver');
  const driver = driverNode === undefined ? 'json-file' : readDriver(f, driverNode);
  const optionsNode = given.get('options');
  if (driver === undefined) return DEFAULT_LOGGING;
  const options = new Map<string, string>();
  for (const { key, shown, value = '', deferred, node: at } of optionsNode === undefined
    ? []
    : pairs(f, optionsNode)) {
    if (!OPTIONS[driver].includes(key)) {
      const near = nearest(key, OPTIONS[driver]);
      const hint = near === undefined ? '' : `; did you mean \`${near}\`?`;
      f.error(at, `${shown} is not an option that may be set for the ${driver} log driver${hint}`);
    } else {
      if (!deferred) checkRotation(f, at, key, value);
      options.set(key, value);
    }
  }
  if (driver === 'awslogs' && !options.has('awslogs-group'))
    f.error(optionsNode ?? node, 'awslogs needs the option awslogs-group');
  const rotation = driver === 'json-file' || driver === 'local' ? ROTATION : {};
  return { driver, options: { ...rotation, ...Object.fromEntries(options) } };
}

function readDriver(f: Findings, node: Tree): Logging['driver'] | undefined {
  const found = scalar(f, node, 'a log driver');
  if (found === undefined || isDeferred(node)) return undefined;
  switch (found.text) {
    case 'json-file':
    case 'local':
    case 'awslogs':
    case 'none':
      return found.text;
    default:
      f.error(
        node,
        `the log driver ${show(node)} is refused because it makes the host's Docker connect to an address of the ` +
          "tenant's choice, or needs a plug-in; use json-file, local, awslogs or none",
      );
      return undefined;
  }
}

function checkRotation(f: Findings, at: Tree, key: string, value: string): void {
  if (key === 'max-size') {
    const bytes = parseSize(value);
    if (bytes === undefined || bytes === 0 || bytes > MOST_PER_FILE)
      f.error(at, `max-size must be a size up to 1g, not ${show(at)}`);
  }
  if (key === 'max-file' && !/^([1-9]|[1-4][0-9]|50)$/.test(value)) {
    f.error(at, `max-file must be a number from 1 to 50, not ${show(at)}`);
  }
}
