import { z } from 'zod';
import { TenantName } from './ids.ts';

/**
 * Upper bounds of the latency histogram's buckets in milliseconds, each included; one more bucket holds what took
 * longer. Fine enough that a p95 is known to a third of its size.
 */
export const LATENCY_BOUNDS_MS = [
  1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500, 700, 1000, 1500, 2000, 3000, 5000, 10_000,
] as const;

/** Requests of one tenant. `latency[i]` counts answers whose first byte took at most LATENCY_BOUNDS_MS[i]. */
export const Traffic = z.strictObject({
  requests: z.int().min(0),
  /** Answers 500 to 599, also Nginx's own when the service did not answer. */
  errors: z.int().min(0),
  latency: z.array(z.int().min(0)).length(LATENCY_BOUNDS_MS.length + 1),
  /** Requests of which there was no room to write them down, at most so many, of this tenant or another: nothing is good then. */
  lost: z.int().min(0).optional(),
});
export type Traffic = z.infer<typeof Traffic>;

/** Length of a slot; slots begin at whole multiples of it since 1970. */
export const TRAFFIC_SLOT_MS = 600_000;

/**
 * What one generation of one tenant has served so far within one slot, counted by one run of the agent. A later sample
 * with the same key replaces the earlier one, so that repeating one changes nothing.
 */
export const TrafficSample = z.strictObject({
  tenant: TenantName,
  generation: z.int(),
  /** Beginning of the slot, milliseconds since 1970. */
  slot: z.number(),
  /** Names the run of the agent: when it began, milliseconds since 1970. */
  run: z.number(),
  traffic: Traffic,
});
export type TrafficSample = z.infer<typeof TrafficSample>;

export function noTraffic(): Traffic {
  return { requests: 0, errors: 0, latency: LATENCY_BOUNDS_MS.map(() => 0).concat(0) };
}

export function addTraffic(one: Traffic, other: Traffic): Traffic {
  const lost = (one.lost ?? 0) + (other.lost ?? 0);
  return {
    requests: one.requests + other.requests,
    errors: one.errors + other.errors,
    latency: one.latency.map((count, index) => count + (other.latency[index] ?? 0)),
    ...(lost > 0 ? { lost } : {}),
  };
}

/** Milliseconds below which `share` (0 to 1) of the answers came, straight between a bucket's bounds; null without any. */
export function quantileMs(traffic: Traffic, share: number): number | null {
  const total = traffic.latency.reduce((sum, count) => sum + count, 0);
  if (total === 0) return null;
  let left = share * total;
  for (const [index, count] of traffic.latency.entries()) {
    if (count > 0 && left <= count) {
      const from = index === 0 ? 0 : (LATENCY_BOUNDS_MS[index - 1] ?? 0);
      const to = LATENCY_BOUNDS_MS[index] ?? from * 2;
      return from + ((to - from) * left) / count;
    }
    left -= count;
  }
  return (LATENCY_BOUNDS_MS.at(-1) ?? 0) * 2;
}
