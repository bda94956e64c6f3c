import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { addTraffic, LATENCY_BOUNDS_MS, noTraffic, quantileMs, Traffic } from '../../src/domain/traffic.ts';

const LAST = LATENCY_BOUNDS_MS.length;

function bucketOf(ms: number): number {
  const index = LATENCY_BOUNDS_MS.findIndex((bound) => ms <= bound);
  return index === -1 ? LAST : index;
}

function trafficOf(samples: readonly number[]): Traffic {
  const traffic = noTraffic();
  for (const ms of samples) {
    const bucket = bucketOf(ms);
    traffic.requests += 1;
    traffic.latency[bucket] = (traffic.latency[bucket] ?? 0) + 1;
  }
  return Traffic.parse(traffic);
}

const samples = fc.array(fc.double({ min: 0, max: 20_000, noNaN: true }), { minLength: 1, maxLength: 400 });

describe('traffic', () => {
  it("knows a quantile to the width of the sample's own bucket", () => {
    fc.assert(
      fc.property(samples, fc.integer({ min: 1, max: 100 }), (times, percent) => {
        const sorted = [...times].sort((one, other) => one - other);
        const rank = Math.ceil((percent / 100) * sorted.length);
        const bucket = bucketOf(sorted[rank - 1] ?? 0);
        const lower = bucket === 0 ? 0 : (LATENCY_BOUNDS_MS[bucket - 1] ?? 0);
        const upper = LATENCY_BOUNDS_MS[bucket] ?? lower * 2;
        const found = quantileMs(trafficOf(times), percent / 100);
        expect(found).toBeGreaterThanOrEqual(lower);
        expect(found).toBeLessThanOrEqual(upper);
      }),
    );
  });

  it('never has a smaller quantile for a larger share', () => {
    fc.assert(
      fc.property(
        samples,
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (times, a, b) => {
          const traffic = trafficOf(times);
          expect(quantileMs(traffic, Math.min(a, b))).toBeLessThanOrEqual(
            quantileMs(traffic, Math.max(a, b)) ?? 0,
          );
        },
      ),
    );
  });

  it('goes straight from one bound of a bucket to the next', () => {
    const twoBuckets = trafficOf([60, 60, 60, 60, 90, 90, 90, 90]);
    expect(quantileMs(twoBuckets, 0.5)).toBe(70);
    expect(quantileMs(twoBuckets, 0.75)).toBe(85);
    expect(quantileMs(twoBuckets, 0)).toBe(50);
    expect(quantileMs(twoBuckets, 1)).toBe(100);
    expect(quantileMs(trafficOf([60_000]), 0.5)).toBe(15_000);
    expect(quantileMs(noTraffic(), 0.95)).toBeNull();
  });

  it('adds up in any order, and nothing changes nothing', () => {
    fc.assert(
      fc.property(samples, samples, (some, more) => {
        const one = { ...trafficOf(some), errors: 1 };
        const other = { ...trafficOf(more), errors: 2 };
        const sum = addTraffic(one, other);
        expect(sum).toEqual({ ...trafficOf([...some, ...more]), errors: 3 });
        expect(addTraffic(other, one)).toEqual(sum);
        expect(addTraffic(one, noTraffic())).toEqual(one);
        expect(Traffic.parse(sum)).toEqual(sum);
      }),
    );
  });
});
