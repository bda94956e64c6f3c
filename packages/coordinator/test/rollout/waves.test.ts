import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseWaves } from '@berth/shared/domain/waves-text';
import { computeWaves, type WavesGiven } from '../../src/rollout/waves.ts';

const tenants = (count: number, tagsOf: (index: number) => string[] = () => []): WavesGiven['tenants'] =>
  Array.from({ length: count }, (_unused, index) => ({
    tenant: `t${index}`,
    tags: tagsOf(index),
    release: 1,
  }));

function wavesOf(text: string, all: WavesGiven['tenants'], order: string[] = []) {
  const parsed = parseWaves(text);
  if (!parsed.ok) throw new Error(parsed.error);
  return computeWaves({ app: 'shop', to: 2, waves: parsed.waves, order, tenants: all });
}

test('shares are cumulative and rounded up', () => {
  const { waves, untouched } = wavesOf('5%,25%,100%', tenants(100));
  expect(waves.map((wave) => wave.length)).toEqual([5, 20, 75]);
  expect(untouched).toEqual([]);
  expect(wavesOf('5%,25%,100%', tenants(3)).waves.map((wave) => wave.length)).toEqual([1, 0, 2]);
});

test('a wave that others have left empty is told of, and one that names nobody is a mistake', () => {
  expect(wavesOf('5%,25%,100%', tenants(3)).warnings).toEqual([
    'Wave 2 (25%) has no tenant: those before it have them all.',
  ]);
  const there = tenants(3).map((each) => ({ ...each, release: 2 }));
  expect(wavesOf('5%,100%', there).warnings).toEqual(['Every tenant has release 2 already.']);
  const done = tenants(3).map((each, index) => ({ ...each, release: index === 0 ? 2 : 1 }));
  expect(wavesOf(`@${done[0]?.tenant}`, done).warnings).toEqual([
    'Every tenant that these waves name has release 2 already.',
  ]);
  expect(wavesOf('canary,100%', tenants(3)).errors).toEqual([
    'No tenant of this app has the tag canary. Tag one, or leave that wave out.',
  ]);
  expect(wavesOf('@t1+t9,100%', tenants(3)).errors).toEqual(['This app has no tenant t9.']);
});

test('canaries come first, then tags in their order, then the rest', () => {
  const all = tenants(20, (index) =>
    index === 7 ? ['canary'] : index < 3 ? ['tier=free'] : index < 6 ? ['tier=pro'] : [],
  );
  const [first = [], second = [], third = []] = wavesOf('1,4,7,100%', all, ['tier=free', 'tier=pro']).waves;
  expect(first).toEqual(['t7']);
  expect([...second].sort()).toEqual(['t0', 't1', 't2']);
  expect([...third].sort()).toEqual(['t3', 't4', 't5']);
});

test('who has the release already, or is in no wave, is left alone', () => {
  const all = tenants(10).map((each, index) => ({ ...each, release: index < 4 ? 2 : 1 }));
  const { waves, untouched } = wavesOf('50%', all);
  expect(waves[0]).toHaveLength(3);
  expect(untouched).toHaveLength(7);
  expect(untouched).toEqual(expect.arrayContaining(['t0', 't1', 't2', 't3']));
});

test('the same fleet gives the same waves in whatever order it comes, and nobody is in two', () => {
  const tag = fc.constantFrom('canary', 'tier=free', 'tier=pro');
  const fleet = fc.uniqueArray(
    fc.record({
      tenant: fc.stringMatching(/^[a-z]{1,6}$/),
      tags: fc.uniqueArray(tag),
      release: fc.constantFrom(1, 2),
    }),
    { selector: (each) => each.tenant, maxLength: 40 },
  );
  fc.assert(
    fc.property(fleet, fc.infiniteStream(fc.nat()), (all, order) => {
      const mixed = all
        .map((each) => ({ each, at: order.next().value ?? 0 }))
        .sort((a, b) => a.at - b.at)
        .map(({ each }) => each);
      const one = wavesOf('canary,2,tier=free,30%,100%', all, ['tier=pro']);
      expect(wavesOf('canary,2,tier=free,30%,100%', mixed, ['tier=pro'])).toEqual(one);
      const moved = one.waves.flat();
      expect(new Set(moved).size).toBe(moved.length);
      expect([...moved, ...one.untouched].sort()).toEqual(all.map((each) => each.tenant).sort());
    }),
  );
});

test('another release has another order, so that it is not always the same who go first', () => {
  const firsts = [2, 3, 4, 5, 6].map(
    (to) =>
      computeWaves({
        app: 'shop',
        to,
        waves: [{ target: { kind: 'count', count: 1 }, approval: 'none' }],
        order: [],
        tenants: tenants(50),
      }).waves[0]?.[0],
  );
  expect(new Set(firsts).size).toBeGreaterThan(1);
});
