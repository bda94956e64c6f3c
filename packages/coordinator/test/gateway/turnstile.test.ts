import { expect, test } from 'vitest';
import { createTurnstile } from '../../src/gateway/turnstile.ts';

test('everyone gets in, in order, and never more than so many at once', async () => {
  const order: number[] = [];
  let inside = 0;
  let most = 0;
  const all = Promise.withResolvers<void>();
  const door = createTurnstile<number>(3, async (visitor) => {
    inside += 1;
    most = Math.max(most, inside);
    order.push(visitor);
    for (let turn = 0; turn <= visitor % 4; turn += 1) await Promise.resolve();
    inside -= 1;
    if (order.length === 50 && inside === 0) all.resolve();
  });
  for (let visitor = 0; visitor < 50; visitor += 1) door.enter(visitor);
  await all.promise;
  expect(order).toEqual(Array.from({ length: 50 }, (_, index) => index));
  expect(most).toBe(3);
});

test('it is open again after a rush', async () => {
  const seen: number[] = [];
  const gates = Array.from({ length: 4 }, () => Promise.withResolvers<void>());
  const door = createTurnstile<number>(1, async (visitor) => {
    seen.push(visitor);
    await gates[visitor]?.promise;
  });
  for (const visitor of [0, 1, 2]) door.enter(visitor);
  expect(seen).toEqual([0]);
  for (const gate of gates) gate.resolve();
  await new Promise((resolve) => setImmediate(resolve));
  expect(seen).toEqual([0, 1, 2]);
  door.enter(3);
  expect(seen).toEqual([0, 1, 2, 3]);
});
