import fc from 'fast-check';
import { expect, test } from 'vitest';
import { afterEnd, START, STABLE_MS, SUPERSEDED_MS, type SessionEnd } from '../../src/link/reconnect.ts';

const limits = { baseMs: 1000, capMs: 30_000 };
const random = fc.double({ min: 0, max: 0.999999, noNaN: true });
const ends = fc.oneof(
  fc.constant<SessionEnd>({ kind: 'failed' }),
  fc.constant<SessionEnd>({ kind: 'refused' }),
  fc.constant<SessionEnd>({ kind: 'going-away' }),
  fc.nat({ max: 2 * STABLE_MS }).map((afterMs): SessionEnd => ({ kind: 'lost', afterMs })),
);

test('whatever happens, the next try comes, and within the cap', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(ends, random), { maxLength: 200 }),
      fc.integer({ min: 1, max: 10_000 }),
      fc.integer({ min: 100, max: 600_000 }),
      (story, baseMs, capMs) => {
        let state = START;
        for (const [end, chance] of story) {
          const next = afterEnd(state, end, { baseMs, capMs }, chance);
          expect(next.delayMs).toBeGreaterThanOrEqual(50);
          expect(next.delayMs).toBeLessThanOrEqual(capMs);
          state = next.state;
        }
      },
    ),
    { verbose: 1 },
  );
});

test('tries spread out over twice the time after each failure, up to the cap', () => {
  let state = START;
  const ceilings: number[] = [];
  for (let count = 0; count < 8; count += 1) {
    ceilings.push(afterEnd(state, { kind: 'failed' }, limits, 0.999999).delayMs);
    state = afterEnd(state, { kind: 'failed' }, limits, 0).state;
  }
  expect(ceilings).toEqual([1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
});

test('a stable session makes the next try a first one; a short one does not', () => {
  const tired = { attempt: 9 };
  expect(afterEnd(tired, { kind: 'lost', afterMs: STABLE_MS }, limits, 0.999999).delayMs).toBe(1000);
  expect(afterEnd(tired, { kind: 'lost', afterMs: STABLE_MS - 1 }, limits, 0.999999).delayMs).toBe(30_000);
});

test('who was superseded is quiet for at least a minute', () => {
  fc.assert(
    fc.property(fc.nat({ max: 20 }), random, (attempt, chance) => {
      const { delayMs } = afterEnd({ attempt }, { kind: 'superseded' }, limits, chance);
      expect(delayMs).toBeGreaterThanOrEqual(SUPERSEDED_MS);
      expect(delayMs).toBeLessThanOrEqual(2 * SUPERSEDED_MS);
    }),
    { verbose: 1 },
  );
});
