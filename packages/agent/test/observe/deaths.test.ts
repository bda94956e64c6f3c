import { expect, test } from 'vitest';
import type { DockerEvent } from '../../src/system/docker-types.ts';
import { Deaths } from '../../src/observe/deaths.ts';

const NOW = 100_000;

function event(action: string, id = 'c1', agent = 'a1'): DockerEvent {
  return { type: 'container', action, id, attributes: { 'berth.agent': agent }, at: 0 };
}

test('an end by itself counts, an end on request does not', () => {
  const stopping = new Set<string>();
  const deaths = new Deaths('a1', stopping);
  deaths.take(event('die'), 0);
  deaths.take(event('start'), 1);
  deaths.take(event('die'), 2);
  expect(deaths.of('c1', NOW)).toBe(2);
  stopping.add('c1');
  deaths.take(event('die'), 3);
  stopping.delete('c1');
  deaths.take(event('start'), 4);
  deaths.take(event('kill'), 5);
  deaths.take(event('die'), 6);
  expect(deaths.of('c1', NOW)).toBe(2);
});

test('a signal long ago, or before the last start, explains no later end', () => {
  const deaths = new Deaths('a1', new Set());
  deaths.take(event('kill'), 0);
  deaths.take(event('die'), 61_000);
  expect(deaths.of('c1', NOW)).toBe(1);
  deaths.take(event('kill'), 62_000);
  deaths.take(event('start'), 63_000);
  deaths.take(event('die'), 64_000);
  expect(deaths.of('c1', NOW)).toBe(2);
});

test('other people’s containers do not even wake anybody', () => {
  const deaths = new Deaths('a1', new Set());
  expect(deaths.take(event('die', 'c9', 'a2'), 0)).toBeNull();
  expect(deaths.of('c9', NOW)).toBe(0);
  expect(deaths.take(event('health_status: unhealthy'), 0)).toBe('container health_status: unhealthy');
});

test('what is destroyed is forgotten', () => {
  const deaths = new Deaths('a1', new Set());
  deaths.take(event('die'), 0);
  deaths.take(event('destroy'), 1);
  expect(deaths.of('c1', NOW)).toBe(0);
});

test('an end counts for ten minutes', () => {
  const deaths = new Deaths('a1', new Set());
  deaths.take(event('die'), 0);
  deaths.take(event('die'), 300_000);
  expect(deaths.of('c1', 599_999)).toBe(2);
  expect(deaths.of('c1', 600_000)).toBe(1);
  expect(deaths.of('c1', 900_000)).toBe(0);
});
