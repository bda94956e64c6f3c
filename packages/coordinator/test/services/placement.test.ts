import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { place, usableMemory, type Need, type PlacementHost } from '../../src/services/placement.ts';
import { GIB, hostId, MIB } from '../support/samples.ts';

function host(n: number, given: Partial<PlacementHost> = {}): PlacementHost {
  return {
    host: hostId(n),
    name: `host-${n}`,
    pool: 'default',
    scheduling: 'open',
    connection: 'online',
    memoryBytes: 8 * GIB,
    cpus: 4,
    reservedMemory: 0,
    reservedCpus: 0,
    largestSurge: 0,
    tenants: 0,
    dedicatedTo: null,
    ...given,
  };
}
const need: Need = { memoryBytes: 512 * MIB, cpus: 0.5, surgeBytes: 256 * MIB };
const where = { pool: 'default', cpuOvercommit: 1 };

const hosts = fc.array(
  fc.record({
    memoryBytes: fc.integer({ min: 0, max: 16 * GIB }),
    cpus: fc.integer({ min: 0, max: 32 }),
    scheduling: fc.constantFrom('open' as const, 'open' as const, 'cordoned' as const),
    connection: fc.constantFrom(
      'online' as const,
      'online' as const,
      'offline' as const,
      'never-seen' as const,
    ),
    pool: fc.constantFrom('default', 'other'),
  }),
  { minLength: 1, maxLength: 8 },
);
const needs = fc.array(
  fc.record({
    memoryBytes: fc.integer({ min: MIB, max: 4 * GIB }),
    cpus: fc.integer({ min: 1, max: 40 }).map((tenths) => tenths / 10),
    surge: fc.integer({ min: 0, max: 100 }),
  }),
  { maxLength: 60 },
);

describe('placement', () => {
  test('never promises memory or CPU twice, and keeps room for the largest move', () => {
    fc.assert(
      fc.property(hosts, needs, (given, wanted) => {
        const state = given.map((each, n) => host(n, each));
        for (const one of wanted) {
          const asked = { ...one, surgeBytes: Math.floor((one.memoryBytes * one.surge) / 100) };
          const placed = place(state, asked, where);
          if (placed.kind === 'refused') continue;
          const chosen = state.find((each) => each.host === placed.host);
          if (chosen === undefined) throw new Error('placed on a host that does not exist');
          expect(chosen).toMatchObject({ pool: 'default', scheduling: 'open', connection: 'online' });
          chosen.reservedMemory += asked.memoryBytes;
          chosen.reservedCpus += asked.cpus;
          chosen.largestSurge = Math.max(chosen.largestSurge, asked.surgeBytes);
          expect(chosen.reservedMemory + chosen.largestSurge).toBeLessThanOrEqual(
            usableMemory(chosen.memoryBytes),
          );
          expect(chosen.reservedCpus).toBeLessThanOrEqual(chosen.cpus + 1e-6);
        }
      }),
    );
  });

  test('refuses only what really fits nowhere', () => {
    fc.assert(
      fc.property(hosts, (given) => {
        const state = given.map((each, n) => host(n, each));
        const placed = place(state, need, where);
        const fitting = state.filter(
          (each) =>
            each.pool === 'default' &&
            each.scheduling === 'open' &&
            each.connection === 'online' &&
            need.memoryBytes + need.surgeBytes <= usableMemory(each.memoryBytes) &&
            need.cpus <= each.cpus,
        );
        expect(placed.kind).toBe(fitting.length > 0 ? 'placed' : 'refused');
      }),
    );
  });

  test('gives the same answer for any order of hosts', () => {
    fc.assert(
      fc.property(hosts, fc.integer(), (given, seed) => {
        const state = given.map((each, n) => host(n, each));
        const shuffled = state
          .map((each, n) => ({ each, key: Math.sin(seed + n) }))
          .sort((a, b) => a.key - b.key)
          .map(({ each }) => each);
        expect(place(shuffled, need, where)).toEqual(place(state, need, where));
      }),
    );
  });

  test('takes the host whose fuller side stays lowest', () => {
    const state = [
      host(1, { reservedMemory: 2 * GIB }),
      host(2, { reservedCpus: 3 }),
      host(3, { reservedMemory: GIB, reservedCpus: 0.5 }),
    ];
    expect(place(state, need, where)).toEqual({ kind: 'placed', host: hostId(3) });
  });

  test('takes the first of equal hosts by id', () => {
    expect(place([host(2), host(1)], need, where)).toEqual({ kind: 'placed', host: hostId(1) });
  });

  test('a named host is taken from any pool, and refused by name when it cannot be', () => {
    const state = [host(1, { pool: 'other' }), host(2)];
    expect(place(state, need, { pool: 'default', host: hostId(1) })).toEqual({
      kind: 'placed',
      host: hostId(1),
    });
    const cordoned = place([host(1, { scheduling: 'cordoned' })], need, { pool: 'default', host: hostId(1) });
    expect(cordoned).toMatchObject({ kind: 'refused', code: 'no_host' });
    expect(cordoned).toHaveProperty('reason', 'Host host-1 can take no tenant now: it is cordoned.');
  });

  test('a refusal names the numbers of every host', () => {
    const refused = place(
      [
        host(1, { reservedMemory: 7.5 * GIB }),
        host(2, { reservedCpus: 3.75 }),
        host(3, { connection: 'offline' }),
      ],
      need,
      where,
    );
    expect(refused).toMatchObject({ kind: 'refused', code: 'no_capacity' });
    if (refused.kind !== 'refused') return;
    expect(refused.reason).toContain('needs 512 MiB of memory');
    expect(refused.reason).toContain('0.5 CPUs');
    expect(refused.reason).toContain('host-2 has');
    expect(refused.reason).toContain('0.25 of 4 CPU reservations free');
    expect(refused.reason).toContain('host-3 is offline');
    expect(refused.numbers.map((each) => each.host)).toEqual([hostId(1), hostId(2), hostId(3)]);
  });

  test('an empty pool and a pool that is wholly offline are told apart', () => {
    expect(place([], need, where)).toMatchObject({ kind: 'refused', code: 'no_host' });
    expect(place([host(1, { connection: 'offline' })], need, where)).toMatchObject({
      kind: 'refused',
      code: 'host_offline',
    });
  });
});
