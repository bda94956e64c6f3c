import { expect, test } from 'vitest';
import { createGate, createPace } from '../../src/enrolment/gate.ts';

test('a gate lets so many in, keeps so many waiting in order, and turns the rest away at once', async () => {
  const pass = createGate(2, 2);
  const ended: number[] = [];
  const inside: (() => void)[] = [];
  const enter = (number: number) =>
    pass(async () => {
      await new Promise<void>((resolve) => inside.push(resolve));
      ended.push(number);
    });
  const calls = [enter(1), enter(2), enter(3), enter(4)];
  await expect(enter(5)).rejects.toMatchObject({ code: 'rate_limited' });
  expect(inside).toHaveLength(2);
  for (let next = 0; next < 4; next += 1) {
    inside[next]?.();
    await calls[next];
    await Promise.resolve();
  }
  expect(ended).toEqual([1, 2, 3, 4]);
  // One that fails gives its place back like any other.
  await expect(pass(() => Promise.reject(new Error('no')))).rejects.toThrow('no');
  const again = [enter(6), enter(7)];
  await Promise.resolve();
  for (const leave of inside.slice(4)) leave();
  await Promise.all(again);
  expect(ended).toEqual([1, 2, 3, 4, 6, 7]);
});

test('a pace gives so many at once, then so many a second, whatever the clock does', () => {
  const pace = createPace(10, 20);
  const taken = (at: number): number => {
    let count = 0;
    while (pace.take(at)) count += 1;
    return count;
  };
  expect(taken(0)).toBe(20);
  expect(taken(500)).toBe(5);
  expect(taken(500)).toBe(0);
  expect(taken(1_000_000)).toBe(20);
  // Set back an hour, it goes on from there.
  expect(taken(1_000_000 - 3_600_000)).toBe(0);
  expect(taken(1_000_000 - 3_600_000 + 1_000)).toBe(10);
});
