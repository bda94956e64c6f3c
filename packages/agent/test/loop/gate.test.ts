import { expect, test } from 'vitest';
import { createGate } from '../../src/loop/gate.ts';

const never = new AbortController().signal;

test('what nobody waits for lets the rest go first', async () => {
  const gate = createGate(1);
  const order: string[] = [];
  const note = (name: string) => () => {
    order.push(name);
    return Promise.resolve();
  };
  await Promise.all([
    gate.run(note('running'), never),
    gate.run(note('stop'), never, 'later'),
    gate.run(note('start'), never),
  ]);
  expect(order).toEqual(['running', 'start', 'stop']);
});

test('clearing away waits for starts that are under way, even when there is room', async () => {
  const gate = createGate(2);
  const order: string[] = [];
  let started = (): void => {};
  const starting = gate.run(
    () =>
      new Promise<void>((resolve) => {
        started = () => {
          order.push('started');
          resolve();
        };
      }),
    never,
    'start',
  );
  const clearing = gate.run(() => Promise.resolve(order.push('cleared')), never, 'later');
  await gate.run(() => Promise.resolve(order.push('looked')), never);
  started();
  await Promise.all([starting, clearing]);
  expect(order).toEqual(['looked', 'started', 'cleared']);
});

test('clearing away is not put off for ever', async () => {
  const gate = createGate(1);
  const order: string[] = [];
  const note = (name: string) => () => {
    order.push(name);
    return Promise.resolve();
  };
  await Promise.all([
    gate.run(note('running'), never),
    ...['s1', 's2', 's3'].map((name) => gate.run(note(name), never, 'later')),
    gate.run(note('start'), never),
  ]);
  expect(order).toEqual(['running', 's1', 'start', 's2', 's3']);
});

test('at most so many run at once, and one that stops waiting leaves the others in order', async () => {
  const gate = createGate(2);
  const leaving = new AbortController();
  let running = 0;
  let most = 0;
  const work = async (): Promise<void> => {
    running += 1;
    most = Math.max(most, running);
    await Promise.resolve();
    running -= 1;
  };
  const given = gate.run(work, never);
  const others = Array.from({ length: 6 }, () => gate.run(work, never));
  const left = gate.run(work, leaving.signal);
  leaving.abort(new Error('not any more'));
  await expect(left).rejects.toThrow('not any more');
  await Promise.all([given, ...others]);
  expect(most).toBe(2);
  await gate.run(work, never);
});
