import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createTick } from '../../src/services/fleet-tick.ts';

const said: string[] = [];
const say = (_fields: object, message: string): void => {
  said.push(message);
};
const log = { debug: say, info: say, warn: say, error: say };

beforeEach(() => {
  said.length = 0;
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

test('calls that come together are one run, and one that comes during a run is another', async () => {
  let runs = 0;
  let release: () => void = () => undefined;
  const tick = createTick({
    ms: 10,
    what: 'test',
    log,
    run: () => {
      runs += 1;
      return new Promise((resolve) => (release = resolve));
    },
  });
  for (let call = 0; call < 5; call += 1) tick.request();
  await vi.advanceTimersByTimeAsync(9);
  expect(runs).toBe(0);
  await vi.advanceTimersByTimeAsync(1);
  expect(runs).toBe(1);
  tick.request();
  await vi.advanceTimersByTimeAsync(100);
  expect(runs).toBe(1);
  release();
  await vi.advanceTimersByTimeAsync(20);
  expect(runs).toBe(2);
});

test('a run that fails is tried again until it succeeds, and is not told every time', async () => {
  let failures = 20;
  let done = 0;
  const tick = createTick({
    ms: 10,
    what: 'write',
    log,
    run: () => {
      if (failures === 0) {
        done += 1;
        return Promise.resolve();
      }
      failures -= 1;
      return Promise.reject(new Error('the database is away'));
    },
  });
  tick.request();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(done).toBe(1);
  expect(said).toHaveLength(2);
  expect(said[0]).toContain('the database is away');
  await tick.stop();
});

test('a single call is quick, and many that follow keep their distance', async () => {
  const at: number[] = [];
  const tick = createTick({
    ms: 10,
    spacingMs: 200,
    what: 'note',
    log,
    run: () => {
      at.push(Date.now());
      return Promise.resolve();
    },
  });
  const begun = Date.now();
  for (let call = 0; call < 100; call += 1) {
    tick.request();
    await vi.advanceTimersByTimeAsync(10);
  }
  expect(at[0]).toBe(begun + 10);
  expect(at.length).toBeLessThanOrEqual(6);
  await tick.stop();
});

test('stopping runs what was still asked for', async () => {
  let runs = 0;
  const tick = createTick({ ms: 10, what: 'test', log, run: () => Promise.resolve(void (runs += 1)) });
  tick.request();
  await tick.stop();
  expect(runs).toBe(1);
  await vi.advanceTimersByTimeAsync(1000);
  expect(runs).toBe(1);
});

test('who is in a hurry waits for nothing, save for the pause after a run, and after a failure', async () => {
  const at: number[] = [];
  let failures = 0;
  const begun = Date.now();
  const tick = createTick({
    ms: 50,
    what: 'look',
    log,
    run: () => {
      at.push(Date.now() - begun);
      if (failures === 0) return Promise.resolve();
      failures -= 1;
      return Promise.reject(new Error('not now'));
    },
  });
  tick.request();
  tick.hurry();
  await vi.advanceTimersByTimeAsync(1);
  expect(at).toEqual([0]);
  for (let call = 0; call < 20; call += 1) {
    tick.hurry();
    await vi.advanceTimersByTimeAsync(1);
  }
  expect(at).toEqual([0]);
  await vi.advanceTimersByTimeAsync(200);
  expect(at).toHaveLength(2);
  expect(at[1]).toBeGreaterThanOrEqual(50);

  failures = 1;
  tick.hurry();
  await vi.advanceTimersByTimeAsync(1);
  expect(at).toHaveLength(3);
  tick.hurry();
  await vi.advanceTimersByTimeAsync(90);
  expect(at).toHaveLength(3);
  await vi.advanceTimersByTimeAsync(20);
  expect(at).toHaveLength(4);
  await tick.stop();
});
