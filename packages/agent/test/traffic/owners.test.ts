import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { newStatus, type Move, type TenantStatus } from '@berth/shared/domain/status';
import { createOwners, FLUSH_MS } from '../../src/traffic/owners.ts';

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

describe('requests belong', () => {
  test('to the live generation, also while the next one is being made', () => {
    const owners = createOwners([status(3)], [], NOW);
    expect(owners.ownerOf('acme', NOW)).toBe(3);
    owners.note(status(3, preparing(4)), NOW + 1);
    expect(owners.ownerOf('acme', NOW + 1)).toBe(3);
    expect(owners.isWatched('acme')).toBe(true);
  });

  test('to nobody from the switch until no pooled connection and no kept line is left of the old colour', () => {
    const owners = createOwners([status(3, preparing(4))], [], NOW);
    owners.note(status(3, switched(4, 3)), NOW);
    expect(owners.ownerOf('acme', NOW)).toBeNull();
    owners.note(status(4, baking(4, 3)), NOW + 300);
    expect(owners.ownerOf('acme', NOW + 2_499)).toBeNull();
    expect(owners.ownerOf('acme', NOW + 2_500)).toBe(4);
    owners.note(status(4), NOW + 60_000);
    expect(owners.ownerOf('acme', NOW + 60_000)).toBe(4);
    expect(owners.isWatched('acme')).toBe(false);
  });

  test('to nobody while it returns, and to the old one again afterwards', () => {
    const owners = createOwners([status(4, baking(4, 3))], [], NOW);
    owners.note(status(4, returning(4, 3)), NOW);
    expect(owners.ownerOf('acme', NOW + 10_000)).toBeNull();
    owners.note(status(3), NOW + 10_000);
    expect(owners.ownerOf('acme', NOW + 12_499)).toBeNull();
    expect(owners.ownerOf('acme', NOW + 12_500)).toBe(3);
  });

  test('to nobody where nothing has ever served, or the maintenance page did just now', () => {
    const owners = createOwners([status(null)], [], NOW);
    expect(owners.ownerOf('acme', NOW)).toBeNull();
    expect(owners.ownerOf('globex', NOW)).toBeNull();
    const paused = createOwners([status(3)], [], NOW);
    paused.blur('acme', NOW);
    expect(paused.ownerOf('acme', NOW + 2_000)).toBeNull();
    expect(paused.ownerOf('acme', NOW + 2_500)).toBe(3);
  });

  test('after a restart to whom they belonged before, unless a switch may have come in between', () => {
    const before = createOwners([status(3)], [], NOW);
    before.note(status(3, switched(4, 3)), NOW);
    before.note(status(4, baking(4, 3)), NOW + 100);
    const known = createOwners([status(4, baking(4, 3))], before.recent(NOW - 1), NOW + 3_000);
    expect(known.ownerOf('acme', NOW + 2_500)).toBe(4);
    const unknown = createOwners([status(4, baking(4, 3))], [], NOW + 3_000);
    expect(unknown.ownerOf('acme', NOW + 2_900)).toBeNull();
    expect(createOwners([status(4)], [], NOW + 3_000).ownerOf('acme', NOW)).toBe(4);
  });
});

test('whenever it switches and whenever the log is read, no request of the old colour goes to the new one', () => {
  const times = fc.array(fc.integer({ min: 0, max: 20_000 }), { minLength: 1, maxLength: 60 });
  const story = fc.record({
    switchAt: fc.integer({ min: 0, max: 10_000 }),
    requests: times,
    /** How long Nginx keeps each line. */
    kept: fc.integer({ min: 0, max: FLUSH_MS }),
    reads: fc.array(fc.integer({ min: 1, max: 4_000 }), { minLength: 2, maxLength: 30 }),
    /** How long a pooled connection still leads to the old colour. */
    pooled: fc.integer({ min: 0, max: 1_000 }),
  });
  fc.assert(
    fc.property(story, ({ switchAt, requests, kept, reads, pooled }) => {
      const owners = createOwners([status(3, preparing(4))], [], 0);
      let switchedYet = false;
      let readBefore = 0;
      let now = 0;
      for (const pause of reads) {
        now += pause;
        if (!switchedYet && switchAt <= now) {
          owners.note(status(3, switched(4, 3)), switchAt);
          switchedYet = true;
        }
        const owner = owners.ownerOf('acme', readBefore);
        for (const at of requests) {
          const written = at + kept;
          if (written <= readBefore || written > now) continue;
          if (at < switchAt + pooled) expect(owner).not.toBe(4);
          if (at >= switchAt) expect(owner).not.toBe(3);
        }
        readBefore = now;
      }
    }),
    { verbose: 1 },
  );
});
