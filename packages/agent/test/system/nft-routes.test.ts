import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { RouteTarget } from '@berth/shared/domain/network';
import { changeFrom } from '../../src/system/nft-changes.ts';
import {
  elementOf,
  routesFile,
  routeStateFrom,
  switchScript,
  targetsOf,
  withTarget,
  type KernelRoutes,
} from '../../src/system/nft-routes.ts';

const pages = {
  maintenance: { address: '127.0.0.1', port: 8081 },
  unrouted: { address: '127.0.0.4', port: 8081 },
};
const empty: KernelRoutes = { present: true, single: new Map(), spread: new Map() };

const endpoint = fc.record({
  address: fc.integer({ min: 2, max: 9 }).map((last) => `198.19.0.${last}`),
  port: fc.constantFrom(80, 8080),
});
const target: fc.Arbitrary<RouteTarget> = fc.oneof(
  fc.record({
    kind: fc.constant('containers' as const),
    endpoints: fc.uniqueArray(endpoint, {
      minLength: 1,
      maxLength: 16,
      selector: (each) => `${each.address}:${each.port}`,
    }),
  }),
  fc.constant({ kind: 'maintenance' as const }),
  fc.constant({ kind: 'unrouted' as const }),
  fc.constant({ kind: 'none' as const }),
);
const entries = fc.array(
  fc.record({ virtual: fc.integer({ min: 1, max: 6 }).map((last) => `198.18.0.${last}`), target }),
  { maxLength: 8 },
);

/** A model of the kernel: applies a script, and is as strict as nft about what is there. */
function applyScript(state: KernelRoutes, script: string): KernelRoutes {
  const maps: Record<string, Map<string, string>> = { routes: new Map(), spread: new Map() };
  for (const [virtual, to] of state.single) maps['routes']?.set(virtual, `${to.address} . ${to.port}`);
  for (const [virtual, slots] of state.spread)
    for (const [slot, to] of slots) maps['spread']?.set(`${virtual} . ${slot}`, `${to.address} . ${to.port}`);
  for (const line of script.split('\n').filter((each) => each !== '')) {
    const match = /^(add|delete) element inet t (routes|spread) \{ (.*) \}$/.exec(line);
    if (match === null) throw new Error(`not a line of a switch: ${line}`);
    const [, verb, map = '', list = ''] = match;
    for (const element of list.split(', ')) {
      const [key = '', value = ''] = element.split(' : ');
      const known = maps[map]?.has(key);
      if (verb === 'delete' ? known !== true : known === true) throw new Error(`nft would refuse ${line}`);
      if (verb === 'delete') maps[map]?.delete(key);
      else maps[map]?.set(key, value);
    }
  }
  const single = [...(maps['routes'] ?? [])].map(([key, value]) => [key, { concat: pair(value) }]);
  const spread = [...(maps['spread'] ?? [])].map(([key, value]) => [
    { concat: pair(key) },
    { concat: pair(value) },
  ]);
  return routeStateFrom({
    nftables: [
      { metainfo: {} },
      { map: { name: 'routes', elem: single } },
      { map: { name: 'spread', elem: spread } },
    ],
  });
}

function pair(text: string): [string, number] {
  const [first = '', second = ''] = text.split(' . ');
  return [first, Number(second)];
}

describe('a switch', () => {
  test('takes any state to the one that was asked for, and is accepted by nft', () => {
    fc.assert(
      fc.property(entries, entries, (before, change) => {
        const from = withTarget(empty, before, pages);
        const to = withTarget(from, change, pages);
        const virtuals = change.map((each) => each.virtual);
        const after = applyScript(from, switchScript('t', from, to, virtuals));
        expect(targetsOf(after, pages)).toEqual(targetsOf(to, pages));
        expect(switchScript('t', after, to, virtuals)).toBe('');
        for (const [at, { virtual, target: wanted }] of change.entries()) {
          if (change.findLastIndex((each) => each.virtual === virtual) !== at) continue;
          const seen = targetsOf(after, pages).get(virtual) ?? { kind: 'none' };
          expect(seen).toEqual(wanted);
        }
      }),
    );
  });

  test('touches no other address', () => {
    fc.assert(
      fc.property(entries, entries, (before, change) => {
        const from = withTarget(empty, before, pages);
        const to = withTarget(from, change, pages);
        const script = switchScript(
          't',
          from,
          to,
          change.map((each) => each.virtual),
        );
        const changed = new Set(change.map((each) => each.virtual));
        for (const { virtual } of before)
          if (!changed.has(virtual))
            expect(script).not.toMatch(new RegExp(`${virtual.replaceAll('.', '\\.')}( |,)`));
      }),
    );
  });

  test('gives replicas shares that differ by at most one of sixteen', () => {
    for (let count = 2; count <= 16; count += 1) {
      const endpoints = Array.from({ length: count }, (_, at) => ({
        address: `198.19.0.${at + 2}`,
        port: 80,
      }));
      const state = withTarget(
        empty,
        [{ virtual: '198.18.0.1', target: { kind: 'containers', endpoints } }],
        pages,
      );
      const shares = new Map<string, number>();
      for (const { address } of state.spread.get('198.18.0.1')?.values() ?? [])
        shares.set(address, (shares.get(address) ?? 0) + 1);
      expect(shares.size).toBe(count);
      expect(Math.max(...shares.values()) - Math.min(...shares.values())).toBeLessThanOrEqual(1);
    }
  });
});

test('an answer of another shape is an error, not an empty map', () => {
  expect(() => routeStateFrom({})).toThrow();
  expect(() => routeStateFrom({ nftables: [{ map: { name: 'routes', elem: ['x'] } }] })).toThrow();
  expect(routeStateFrom({ nftables: [] }).present).toBe(false);
});

test('the routes file declares what it fills, so that it loads without the static part', () => {
  const state = withTarget(empty, [{ virtual: '198.18.0.1', target: { kind: 'maintenance' } }], pages);
  expect(routesFile('t', state).split('\n')).toEqual([
    'add table inet t',
    'add map inet t routes { type ipv4_addr : ipv4_addr . inet_service; }',
    'add map inet t spread { typeof ip daddr . numgen random mod 16 : ip daddr . tcp dport; }',
    'flush map inet t routes',
    'flush map inet t spread',
    'add element inet t routes { 198.18.0.1 : 127.0.0.1 . 8081 }',
    '',
  ]);
});

describe('a line of nft monitor', () => {
  test.each([
    ['add element inet other routes { 198.18.0.1 : 198.19.0.2 . 80 }', null],
    ['# new generation 454 by process 30827 (nft)', null],
    ['add rule inet t output ip daddr 1.2.3.4', { kind: 'static' }],
    ['insert rule inet t forward accept', { kind: 'static' }],
    ['add element inet t pairs { "bt-1" . "bt-1" }', { kind: 'static' }],
    ['delete element inet t egress { "bt-1" : jump egress_none }', { kind: 'static' }],
    ['delete table inet t', { kind: 'static' }],
    ['delete rule inet t output handle 6', { kind: 'static' }],
    ['delete chain inet t output', { kind: 'static' }],
  ])('%s', (line, expected) => {
    expect(changeFrom('t', line)).toEqual(expected);
  });

  test('of an element says which and what, in the words of what we know', () => {
    const change = changeFrom('t', 'add element inet t spread { 198.18.0.7 . 3 : 198.19.0.9 . 8080 }');
    expect(change).toEqual({
      kind: 'element',
      verb: 'add',
      map: 'spread',
      key: '198.18.0.7 . 3',
      value: '198.19.0.9 . 8080',
    });
    const slots = new Map([[3, { address: '198.19.0.9', port: 8080 }]]);
    const state = { ...empty, spread: new Map([['198.18.0.7', slots]]) };
    expect(elementOf(state, 'spread', '198.18.0.7 . 3')).toBe('198.19.0.9 . 8080');
    expect(elementOf(state, 'routes', '198.18.0.7')).toBeUndefined();
  });
});
