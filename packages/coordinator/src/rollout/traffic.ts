import type { Judged, TrafficBudget, Verdict } from '@berth/shared/domain/rollout';
import {
  addTraffic,
  LATENCY_BOUNDS_MS,
  noTraffic,
  quantileMs,
  type Traffic,
} from '@berth/shared/domain/traffic';
import type { Facts, RolloutTenant } from './types.ts';

/** Null when there is none at all. */
export function sumTraffic(all: readonly (Traffic | null)[]): Traffic | null {
  return all.reduce<Traffic | null>(
    (sum, each) => (each === null ? sum : sum === null ? each : addTraffic(sum, each)),
    null,
  );
}

/**
 * Tenants that serve the new release together, against their own past; null where nothing was counted since. Without a past
 * `before` is nothing at all, and they are not judged.
 */
export function lookAt(
  rows: readonly RolloutTenant[],
  facts: Pick<Facts, 'tenant'>,
  budget: TrafficBudget,
): Judged | null {
  const { before, after } = sumsOf(rows, facts);
  return after === null
    ? null
    : { before: before ?? noTraffic(), after, verdict: judgeTraffic(before, after, budget) };
}

/** What these say; also where nothing is known of them. */
export function verdictOn(
  rows: readonly RolloutTenant[],
  facts: Pick<Facts, 'tenant'>,
  budget: TrafficBudget,
): Verdict {
  const { before, after } = sumsOf(rows, facts);
  return judgeTraffic(before, after, budget);
}

function sumsOf(
  rows: readonly RolloutTenant[],
  facts: Pick<Facts, 'tenant'>,
): { before: Traffic | null; after: Traffic | null } {
  const serving = rows.filter((row) => row.progress.kind === 'live');
  const compared = serving.filter((row) => row.before !== null);
  // Who has no past says nothing beside those who have one.
  const live = compared.length > 0 ? compared : serving;
  return {
    before: sumTraffic(live.map((row) => row.before)),
    after: sumTraffic(live.map((row) => facts.tenant(row.tenant)?.after ?? null)),
  };
}

/** How many standard deviations beyond the budget it takes: one or two unlucky requests of fifty say nothing. */
const SURE = 2;
const SLOW_SHARE = 0.05;

/** Whether requests fare worse than before, beyond the budget and beyond chance. Too few of them are not judged. */
export function judgeTraffic(before: Traffic | null, after: Traffic | null, budget: TrafficBudget): Verdict {
  const few = (traffic: Traffic | null): traffic is null =>
    traffic === null || traffic.requests < budget.minRequests;
  if (before === null || before.requests === 0)
    return notJudged(
      `there are no requests in the day before to compare with; ${numberOf(after)} since the move`,
    );
  if (few(after) || after === null)
    return notJudged(`${numberOf(after)} since the move; ${budget.minRequests} are needed`);
  if (few(before))
    return notJudged(`${numberOf(before)} in the day before; ${budget.minRequests} are needed`);

  const lost = after.lost ?? 0;
  const was = before.errors / before.requests;
  const is = after.errors / after.requests;
  if (isBeyond(after.errors, after.requests, Math.min(1, was + budget.errorRate)))
    return {
      kind: 'bad',
      why: `${percent(is)} of ${after.requests} requests got a 5xx answer; it was ${percent(was)}, and ${percent(budget.errorRate)} more is the budget`,
    };

  // What is bad with some missing is bad; what is well may not be.
  const well = lost === 0 ? ({ kind: 'good' } as const) : notJudged(missing(lost));
  const p95 = quantileMs(before, 0.95);
  if (p95 === null) return well;
  const limit = Math.max(p95 * budget.latencyFactor, p95 + budget.latencyMs);
  const answered = after.latency.reduce((sum, count) => sum + count, 0);
  if (answered >= budget.minRequests && isBeyond(slowerThan(after, limit), answered, SLOW_SHARE))
    return {
      kind: 'bad',
      why: `the p95 latency is ${Math.round(quantileMs(after, 0.95) ?? 0)} ms; it was ${Math.round(p95)} ms, and ${Math.round(limit)} ms is the budget`,
    };
  return well;
}

function missing(lost: number): string {
  return `${lost === 1 ? '1 request' : `${lost} requests`} since the move may be missing: a host had no room to count them`;
}

/** Whether so many of so many are surely more than the share. */
function isBeyond(count: number, of: number, share: number): boolean {
  return count > of * share + SURE * Math.sqrt(of * share * (1 - share)) && count > of * share + 1;
}

/** How many answers surely took longer: those in buckets that begin at or above the limit. */
function slowerThan(traffic: Traffic, ms: number): number {
  return traffic.latency.reduce((sum, count, index) => {
    const from = index === 0 ? 0 : (LATENCY_BOUNDS_MS[index - 1] ?? 0);
    return from >= ms ? sum + count : sum;
  }, 0);
}

function notJudged(why: string): Verdict {
  return { kind: 'not-judged', why };
}

function numberOf(traffic: Traffic | null): string {
  const count = traffic?.requests ?? 0;
  return count === 1 ? '1 request' : `${count} requests`;
}

function percent(share: number): string {
  const value = share * 100;
  return `${value >= 10 ? Math.round(value) : Number(value.toFixed(1))} %`;
}
