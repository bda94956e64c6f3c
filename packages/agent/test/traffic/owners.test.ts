import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { newStatus, type Move, type TenantStatus } from '@berth/shared/domain/status';
import { createOwners, HISTORY_MS, type Owners } from '../../src/traffic/owners.ts';

const NOW = 1_790_000_000_000;
const why = { code: 'crash_loop' as const, message: 'x', step: 'x', service: null, logTail: [], at: 0 };
const status = (live: number | null, move: Move = { kind: 'idle' }): TenantStatus => ({
  ...newStatus('acme'),
  live,
  move,
});
const preparing = (generation: number): Move => ({ kind: 'preparing', generation, since: NOW });
const switched = (generation: number, from: number | null): Move => ({
  kind: 'switched',
  generation,
  from,
  since: NOW,
});
const baking = (generation: number, from: number | null): Move => ({
  kind: 'baking',
  generation,
  from,
  until: NOW,
});
const returning = (generation: number, to: number | null): Move => ({
  kind: 'returning',
  generation,
  to,
  why,
});

/** Whose a request is that was sent on at this moment, or at some time between two. */
function ownerOf(owners: Owners, from: number, to = from, now = NOW + 60_000): number | null {
  const served = owners.servedBy('acme', now);
  if (typeof served !== 'object' || served === null) return served;
  return served.find((span) => span.from <= from && to <= span.to)?.generation ?? null;
}

describe('requests belong', () => {
  test('to the live generation, also while the next one is being made', () => {
    const owners = createOwners([status(3)], [], NOW);
    expect(ownerOf(owners, NOW)).toBe(3);
    owners.note(status(3, preparing(4)), NOW + 1);
    expect(ownerOf(owners, NOW + 1)).toBe(3);
    expect(owners.isWatched('acme')).toBe(true);
  });

  test('to whom they were sent on to, however late they end, and to nobody around the switch', () => {
    const owners = createOwners([status(3, preparing(4))], [], NOW);
    owners.note(status(3, switched(4, 3)), NOW);
    owners.note(status(4, baking(4, 3)), NOW + 300);
    expect(ownerOf(owners, NOW - 501)).toBe(3);
    expect(ownerOf(owners, NOW - 499)).toBeNull();
    expect(ownerOf(owners, NOW + 1_999)).toBeNull();
    expect(ownerOf(owners, NOW + 2_000)).toBe(4);
    // It began before the switch, and when it was sent on is not known.
    expect(ownerOf(owners, NOW - 5_000, NOW + 5_000)).toBeNull();
    owners.note(status(4), NOW + 60_000);
    expect(ownerOf(owners, NOW - 501)).toBe(3);
    expect(owners.isWatched('acme')).toBe(false);
  });

  test('to the first generation of all from its switch on', () => {
    const owners = createOwners([], [], NOW - 10_000);
    owners.note(status(null, preparing(1)), NOW - 5_000);
    owners.note(status(null, switched(1, null)), NOW);
    expect([NOW - 1, NOW].map((at) => ownerOf(owners, at))).toEqual([null, 1]);
  });

  test('to the new one as soon as somebody saw that no connection leads to the old one', () => {
    const owners = createOwners([status(3, preparing(4))], [], NOW);
    owners.cleared('acme', NOW - 10);
    owners.cleared('globex', NOW);
    owners.note(status(3, switched(4, 3)), NOW);
    // It was looked at before the switch, or too late to tell anything.
    owners.cleared('acme', NOW - 1);
    owners.cleared('acme', NOW + 2_000);
    expect(ownerOf(owners, NOW + 1_999)).toBeNull();
    owners.cleared('acme', NOW + 400);
    owners.cleared('acme', NOW + 800);
    expect(ownerOf(owners, NOW + 399)).toBeNull();
    expect(ownerOf(owners, NOW + 400)).toBe(4);
    expect(ownerOf(owners, NOW - 501)).toBe(3);
    const again = createOwners([status(4)], owners.recent(NOW + 900), NOW + 3_000, NOW + 900);
    expect(ownerOf(again, NOW + 400)).toBe(4);
    // The next switch is another one.
    owners.note(status(4, switched(5, 4)), NOW + 5_000);
    expect(ownerOf(owners, NOW + 5_400)).toBeNull();
  });

  test('all to the last one, looked at no more, when the switch is an hour ago', () => {
    const owners = createOwners([status(3)], [], NOW);
    owners.note(status(4, baking(4, 3)), NOW);
    expect(owners.servedBy('acme', NOW + HISTORY_MS)).toHaveLength(2);
    expect(owners.servedBy('acme', NOW + HISTORY_MS + 2_001)).toBe(4);
  });

  test('to nobody while it returns, and to the old one again afterwards', () => {
    const owners = createOwners([status(4, baking(4, 3))], [], NOW);
    owners.note(status(4, returning(4, 3)), NOW);
    expect(ownerOf(owners, NOW + 10_000)).toBeNull();
    owners.note(status(3), NOW + 10_000);
    expect(ownerOf(owners, NOW + 11_999)).toBeNull();
    expect(ownerOf(owners, NOW + 12_000)).toBe(3);
  });

  test('to nobody where nothing has ever served, or the maintenance page did just now', () => {
    const owners = createOwners([status(null)], [], NOW);
    expect(ownerOf(owners, NOW)).toBeNull();
    expect(createOwners([], [], NOW).servedBy('acme', NOW)).toBeNull();
    const paused = createOwners([status(3)], [], NOW);
    for (let at = NOW; at <= NOW + 120_000; at += 1_000) paused.blur('acme', at);
    expect(ownerOf(paused, NOW - 4_000)).toBe(3);
    expect(ownerOf(paused, NOW - 2_000)).toBeNull();
    expect(ownerOf(paused, NOW + 121_500)).toBeNull();
    expect(ownerOf(paused, NOW + 122_000)).toBe(3);
  });

  test('after a restart to whom they belonged before, unless a switch may have come in between', () => {
    const before = createOwners([status(3)], [], NOW);
    before.note(status(3, switched(4, 3)), NOW);
    before.note(status(4, baking(4, 3)), NOW + 100);
    const kept = before.recent(NOW + 200);
    const known = createOwners([status(4, baking(4, 3))], kept, NOW + 3_000, NOW + 200);
    expect([ownerOf(known, NOW - 600), ownerOf(known, NOW + 2_000)]).toEqual([3, 4]);
    const unknown = createOwners([status(4, baking(4, 3))], [], NOW + 3_000);
    expect(ownerOf(unknown, NOW + 2_900)).toBeNull();
    expect(ownerOf(unknown, NOW + 5_000)).toBe(4);
    expect(ownerOf(createOwners([status(4)], [], NOW + 3_000), NOW)).toBe(4);
    const missed = createOwners([status(5)], kept, NOW + 9_000, NOW + 3_000);
    expect([NOW + 2_000, NOW + 5_000, NOW + 11_000].map((at) => ownerOf(missed, at))).toEqual([4, null, 5]);
  });

  test('to nobody from the death of an agent to the moment the next one finds that the route was switched', () => {
    const owners = createOwners([status(3, preparing(4))], [], NOW + 5_000, NOW);
    owners.note(status(3, switched(4, 3)), NOW + 6_000);
    const moments = [NOW - 600, NOW + 100, NOW + 5_000, NOW + 8_000];
    expect(moments.map((at) => ownerOf(owners, at))).toEqual([3, null, null, 4]);
  });
});

test('who served lately is all whose requests may be missing', () => {
  const owners = createOwners([status(3)], [], NOW);
  owners.note(status(4, baking(4, 3)), NOW);
  expect(owners.servingSince(NOW + 1_000).map((each) => each.generation)).toEqual([3, 4]);
  expect(owners.servingSince(NOW + 2_500).map((each) => each.generation)).toEqual([4]);
});

test('whenever it switches and however long requests take, none of one colour goes to the other', () => {
  const story = fc.record({
    switchAt: fc.integer({ min: 0, max: 10_000 }),
    /** From the kernel's switch until the agent says so. */
    late: fc.integer({ min: 0, max: 500 }),
    requests: fc.array(
      fc.record({
        began: fc.nat({ max: 20_000 }),
        waited: fc.nat({ max: 5_000 }),
        took: fc.nat({ max: 20_000 }),
      }),
      { minLength: 1, maxLength: 60 },
    ),
    /** How long a pooled connection still leads to the old colour. */
    pooled: fc.integer({ min: 0, max: 2_000 }),
    /** When somebody saw that none does, if anybody looked before they would have to be gone. */
    looked: fc.option(fc.nat({ max: 5_000 })),
  });
  fc.assert(
    fc.property(story, ({ switchAt, late, requests, pooled, looked }) => {
      const owners = createOwners([status(3, preparing(4))], [], 0);
      owners.note(status(3, switched(4, 3)), switchAt + late);
      if (looked !== null) owners.cleared('acme', switchAt + Math.max(looked, pooled));
      for (const { began, waited, took } of requests) {
        // Its body is read before it is sent on; then its first byte comes, and later its end.
        const sent = began + waited;
        const owner = ownerOf(owners, began, sent + took, 100_000);
        if (sent < switchAt) expect(owner).not.toBe(4);
        if (sent >= switchAt + pooled) expect(owner).not.toBe(3);
        // Before that a connection of the old colour may still be used.
        else expect(owner).not.toBe(4);
      }
      expect(ownerOf(owners, switchAt - 1, switchAt - 1, 100_000)).not.toBe(4);
    }),
    { verbose: 1 },
  );
});
