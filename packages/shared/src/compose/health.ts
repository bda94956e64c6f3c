import type { Healthcheck } from '../domain/spec.ts';
import { fields } from './fields.ts';
import type { Findings } from './findings.ts';
import type { Tree } from './positions.ts';
import { boolean, duration, integer, isDeferred, scalar, show, texts } from './values.ts';

export type HealthRead =
  | { kind: 'check'; check: Healthcheck }
  /** `disable: true` or `test: NONE`. */
  | { kind: 'none' }
  /** Wrong, or not known yet. */
  | { kind: 'unknown' };

/** Each probe starts a process in the container; more often than this it is the load, not the check. */
const LEAST_INTERVAL_MS = 100;

/**
 * A health check with Compose's defaults, except that a starting container is asked every half second at least, so
 * that a deploy does not wait for a whole interval.
 */
export function readHealthcheck(f: Findings, node: Tree): HealthRead {
  const given = fields(f, node, {
    what: 'a healthcheck',
    known: ['test', 'interval', 'timeout', 'retries', 'start_period', 'start_interval', 'disable'],
  });
  const read = <T>(key: string, reader: (value: Tree) => T | undefined): T | undefined => {
    const value = given.get(key);
    return value === undefined ? undefined : reader(value);
  };
  const disabled = read('disable', (value) => boolean(f, value));
  const intervalMs = read('interval', (value) => duration(f, value, LEAST_INTERVAL_MS)) ?? 30_000;
  const timing = {
    intervalMs,
    timeoutMs: read('timeout', (value) => duration(f, value, 1)) ?? 30_000,
    retries: read('retries', (value) => integer(f, value, 1, 1000)) ?? 3,
    startPeriodMs: read('start_period', (value) => duration(f, value)) ?? 0,
    startIntervalMs:
      read('start_interval', (value) => duration(f, value, LEAST_INTERVAL_MS)) ?? Math.min(intervalMs, 500),
  };
  if (disabled === true) return { kind: 'none' };
  const testNode = given.get('test');
  if (testNode === undefined) {
    if (isDeferred(given.get('disable')) || node.kind !== 'map') return { kind: 'unknown' };
    f.error(node, 'has no test; Berth does not read the health check inside an image, so write it here');
    return { kind: 'unknown' };
  }
  const test = readTest(f, testNode);
  if (test === undefined) return { kind: 'unknown' };
  return test === 'none' ? { kind: 'none' } : { kind: 'check', check: { test, ...timing } };
}

function readTest(f: Findings, node: Tree): string[] | 'none' | undefined {
  if (node.kind !== 'list') {
    const line = scalar(f, node, 'a command, as a list or a text');
    if (line === undefined) return undefined;
    if (line.text === 'NONE') return 'none';
    if (line.text.trim() !== '') return ['CMD-SHELL', line.text];
    f.error(node, 'must be a command, not an empty text');
    return undefined;
  }
  const words = texts(f, node);
  if (words.length < node.items.length) return undefined;
  const first = words[0];
  if (first === 'NONE') return 'none';
  if (first === 'CMD' && words.length >= 2) return words;
  if (first === 'CMD-SHELL' && words.length === 2) return words;
  const problem =
    first === 'CMD' || first === 'CMD-SHELL'
      ? `${first} takes ${first === 'CMD' ? 'a command and its arguments' : 'one text'} after it`
      : `a list must begin with CMD, CMD-SHELL or NONE, not ${node.items[0] === undefined ? 'be empty' : show(node.items[0])}`;
  f.error(node, problem);
  return undefined;
}
