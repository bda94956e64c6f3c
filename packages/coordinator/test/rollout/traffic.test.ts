import fc from 'fast-check';
import { expect, test } from 'vitest';
import { TrafficBudget } from '@berth/shared/domain/rollout';
import { LATENCY_BOUNDS_MS, noTraffic, type Traffic } from '@berth/shared/domain/traffic';
import { judgeTraffic, lookAt, sumTraffic } from '../../src/rollout/traffic.ts';
import type { RolloutTenant, TenantFact } from '../../src/rollout/types.ts';

const budget = TrafficBudget.parse({});

/** Requests that all took so long, `errors` of them failed. */
function traffic(requests: number, errors = 0, ms = 10): Traffic {
  const latency = noTraffic().latency;
  const at = LATENCY_BOUNDS_MS.findIndex((bound) => ms <= bound);
  latency[at === -1 ? LATENCY_BOUNDS_MS.length : at] = requests;
  return { requests, errors, latency };
}

test('too few requests, now or before, are not judged and never good', () => {
  expect(judgeTraffic(traffic(1000), traffic(10), budget)).toEqual({
    kind: 'not-judged',
    why: '10 requests since the move; 50 are needed',
  });
  for (const none of [null, traffic(0)])
    expect(judgeTraffic(none, traffic(1000, 900), budget)).toEqual({
      kind: 'not-judged',
      why: 'there are no requests in the day before to compare with; 1000 requests since the move',
    });
  expect(judgeTraffic(traffic(1000), null, budget)).toMatchObject({ kind: 'not-judged' });
});

test('more errors than the budget are bad, with the figures', () => {
  expect(judgeTraffic(traffic(1000, 1), traffic(500, 60), budget)).toEqual({
    kind: 'bad',
    why: '12 % of 500 requests got a 5xx answer; it was 0.1 %, and 2 % more is the budget',
  });
});

test('who always had many errors may have as many', () => {
  expect(judgeTraffic(traffic(1000, 300), traffic(1000, 300), budget)).toEqual({ kind: 'good' });
});

test('one or two unlucky requests of fifty are chance', () => {
  expect(judgeTraffic(traffic(1000), traffic(50, 2), budget)).toEqual({ kind: 'good' });
  expect(judgeTraffic(traffic(1000), traffic(50, 5), budget)).toMatchObject({ kind: 'bad' });
});

test('a p95 beyond factor and slack is bad, and one within either is not', () => {
  expect(judgeTraffic(traffic(1000, 0, 100), traffic(500, 0, 1000), budget)).toMatchObject({
    kind: 'bad',
    why: expect.stringContaining('the p95 latency is'),
  });
  expect(judgeTraffic(traffic(1000, 0, 2), traffic(500, 0, 30), budget)).toEqual({ kind: 'good' });
});

test('the same requests as before are never bad', () => {
  const any = fc
    .tuple(fc.array(fc.nat(200), { minLength: 24, maxLength: 24 }), fc.nat(100))
    .map(([latency, share]): Traffic => {
      const requests = latency.reduce((sum, count) => sum + count, 0);
      return { requests, errors: Math.floor((requests * share) / 100), latency };
    });
  fc.assert(
    fc.property(any, (same) => {
      expect(judgeTraffic(same, same, budget).kind).not.toBe('bad');
    }),
  );
});

test('tenants without a past show their figures, and say nothing beside those who have one', () => {
  const row = (tenant: string, before: Traffic | null): RolloutTenant => ({
    tenant,
    wave: 0,
    position: 0,
    fromRelease: 1,
    fromGeneration: 1,
    progress: { kind: 'live', generation: 2, since: 1 },
    before,
  });
  const facts = {
    tenant: (name: string): TenantFact => ({
      host: 'h1',
      connection: 'online',
      release: 2,
      generation: 2,
      state: 'running',
      pinned: null,
      window: null,
      reported: null,
      after: traffic(name === 'new' ? 45 : 200),
    }),
  };
  expect(lookAt([row('new', null)], facts, budget)).toEqual({
    before: noTraffic(),
    after: traffic(45),
    verdict: {
      kind: 'not-judged',
      why: 'there are no requests in the day before to compare with; 45 requests since the move',
    },
  });
  expect(lookAt([row('new', null), row('old', traffic(1000))], facts, budget)).toEqual({
    before: traffic(1000),
    after: traffic(200),
    verdict: { kind: 'good' },
  });
});

test('sums add up, and nothing at all is nothing', () => {
  expect(sumTraffic([null, null])).toBeNull();
  expect(sumTraffic([traffic(10, 1), null, traffic(5, 2)])).toMatchObject({ requests: 15, errors: 3 });
});

test('is never good where some may be missing, and bad as ever', () => {
  const lost = (of: Traffic): Traffic => ({ ...of, lost: 3 });
  expect(judgeTraffic(traffic(1000), lost(traffic(500)), budget)).toEqual({
    kind: 'not-judged',
    why: '3 requests since the move may be missing: a host had no room to count them',
  });
  expect(judgeTraffic(traffic(1000, 1), lost(traffic(500, 60)), budget)).toMatchObject({ kind: 'bad' });
});
