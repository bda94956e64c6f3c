import { expect, test } from 'vitest';
import { createLosses } from '../../src/traffic/losses.ts';

const NOW = 1_790_000_000_000;

test('with room nothing is missing but what could not be read', () => {
  const losses = createLosses();
  const read = { counted: 500, readBefore: NOW - 1_000, fullSince: null, now: NOW };
  expect(losses.read({ ...read, torn: 0 })).toBe(0);
  expect(losses.read({ ...read, torn: 2 })).toBe(2);
});

test('without room as many as usual are missing, and those of the second in which Nginx does not try', () => {
  const losses = createLosses();
  losses.read({ counted: 500, torn: 0, readBefore: NOW - 1_000, fullSince: null, now: NOW });
  const now = NOW + 1_000;
  expect(losses.read({ counted: 300, torn: 0, readBefore: NOW, fullSince: now - 400, now })).toBe(700);
  expect(losses.read({ counted: 0, torn: 0, readBefore: now, fullSince: now - 400, now: now + 1_000 })).toBe(
    1_000,
  );
});

test('after an agent was away, the rate is that at which the log filled up', () => {
  const losses = createLosses();
  const read = {
    counted: 600_000,
    torn: 0,
    readBefore: NOW - 3_600_000,
    fullSince: NOW - 3_000_000,
    now: NOW,
  };
  expect(losses.read(read)).toBe(3_001_000);
});

test('there is never none without room, and a clock that was set back does no harm', () => {
  const losses = createLosses();
  expect(losses.read({ counted: 0, torn: 0, readBefore: NOW, fullSince: NOW - 10, now: NOW })).toBe(1);
  expect(
    losses.read({ counted: 5, torn: 0, readBefore: NOW, fullSince: NOW + 10, now: NOW - 5_000 }),
  ).toBeGreaterThan(0);
});
