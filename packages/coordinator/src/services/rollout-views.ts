import type {
  Counts,
  Rollout as RolloutShown,
  RolloutTenant as TenantShown,
  RolloutWave,
} from '@berth/shared/api/rollouts';
import type { RolloutPolicy } from '@berth/shared/domain/rollout';
import type { Traffic } from '@berth/shared/domain/traffic';
import type { z } from 'zod';
import { countsOf, failuresOf, heldBy } from '../rollout/counts.ts';
import { judgeTraffic, sumTraffic } from '../rollout/traffic.ts';
import type { Facts, RolloutTenant } from '../rollout/types.ts';
import type { WaveCounts } from './bulk-store.ts';
import type { Open } from './rollout-open.ts';
import type { RolloutRecord } from './rollout-store.ts';

/** What is shown of a rollout. Waves are counted from 1. */
export function rolloutShown(open: Open, now: number): RolloutShown {
  const { record, rollout, book } = open;
  const byWave = record.waves.map((): RolloutTenant[] => []);
  for (const row of rollout.tenants) byWave[row.wave]?.push(row);
  return {
    ...headOf(record),
    held: heldBy(rollout, book, now),
    waves: record.waves.map((state, index): z.infer<typeof RolloutWave> => {
      const rows = byWave[index] ?? [];
      return {
        wave: index + 1,
        spec: specOf(record, index),
        state,
        counts: countsOf(rows),
        traffic: trafficOf(rows, book, record.policy),
      };
    }),
    counts: countsOf(rollout.tenants),
    failures: failuresOf(rollout),
  };
}

/** The same by its counts alone, for lists. */
export function rolloutListed(record: RolloutRecord, counted: ReadonlyMap<number, WaveCounts>): RolloutShown {
  const total = countsOf([]);
  let failures = 0;
  const waves = new Map<number, Counts>();
  for (const [wave, { failures: failed, ...counts }] of counted) {
    waves.set(wave, counts);
    failures += failed;
    for (const key of Object.keys(total)) if (isCount(key, total)) total[key] += counts[key];
  }
  return {
    ...headOf(record),
    held: null,
    waves: record.waves.map((state, index) => ({
      wave: index + 1,
      spec: specOf(record, index),
      state,
      counts: waves.get(index) ?? countsOf([]),
      traffic: null,
    })),
    counts: total,
    failures,
  };
}

function isCount(key: string, counts: Counts): key is keyof Counts {
  return key in counts;
}

function headOf(record: RolloutRecord): Omit<RolloutShown, 'held' | 'waves' | 'counts' | 'failures'> {
  const { rollout, app, to, policy, state, startedBy, createdAt, updatedAt, endedAt, afterEvent } = record;
  const wave = Math.min(record.wave + 1, record.waves.length);
  return { rollout, app, to, policy, state, wave, startedBy, createdAt, updatedAt, endedAt, afterEvent };
}

function specOf(record: RolloutRecord, wave: number): RolloutPolicy['waves'][number] {
  const spec = record.policy.waves[wave];
  if (spec === undefined) throw new Error(`rollout ${record.rollout} has no wave ${wave}`);
  return spec;
}

function trafficOf(
  rows: readonly RolloutTenant[],
  facts: Facts,
  policy: RolloutPolicy,
): { before: Traffic; after: Traffic; verdict: ReturnType<typeof judgeTraffic> } | null {
  const live = rows.filter((row) => row.progress.kind === 'live' && row.before !== null);
  const before = sumTraffic(live.map((row) => row.before));
  const after = sumTraffic(live.map((row) => facts.tenant(row.tenant)?.after ?? null));
  if (before === null || after === null) return null;
  return { before, after, verdict: judgeTraffic(before, after, policy.traffic) };
}

/** `step`: the title of what its agent does just now. */
export function rolloutTenantShown(open: Open, row: RolloutTenant, step: string | null): TenantShown {
  const { tenant, wave, position, fromRelease, progress, before } = row;
  const after = open.book.tenant(tenant)?.after ?? null;
  return {
    tenant,
    wave: wave + 1,
    position,
    host: open.book.tenant(tenant)?.host ?? null,
    hostName: open.book.hostName(tenant),
    fromRelease,
    progress,
    step,
    traffic:
      before === null || after === null
        ? null
        : { before, after, verdict: judgeTraffic(before, after, open.record.policy.traffic) },
  };
}
