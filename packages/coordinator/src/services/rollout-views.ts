import type {
  Counts,
  Rollout as RolloutShown,
  RolloutTenant as TenantShown,
  RolloutWave,
} from '@berth/shared/api/rollouts';
import { isOver, type Judged, type RolloutPolicy, type WaveState } from '@berth/shared/domain/rollout';
import { noTraffic } from '@berth/shared/domain/traffic';
import type { z } from 'zod';
import { awaitedBy, countsOf, failuresOf, heldBy } from '../rollout/counts.ts';
import { observe } from '../rollout/observe.ts';
import { judgeTraffic, lookAt } from '../rollout/traffic.ts';
import type { RolloutTenant } from '../rollout/types.ts';
import type { WaveCounts } from './bulk-store.ts';
import type { Open } from './rollout-open.ts';
import type { RolloutRecord } from './rollout-store.ts';

/** What is shown of a rollout. Waves are counted from 1. */
export function rolloutShown(open: Open, now: number): RolloutShown {
  const { record, rollout, book } = open;
  const byWave = record.waves.map((): RolloutTenant[] => []);
  const tenants = rollout.tenants.map((row) => asSeen(open, row));
  for (const row of tenants) byWave[row.wave]?.push(row);
  return {
    ...headOf(record),
    held: heldBy(rollout, book, now),
    awaits: awaitedBy(rollout, book, now),
    waves: record.waves.map((state, index): z.infer<typeof RolloutWave> => {
      const rows = byWave[index] ?? [];
      return {
        wave: index + 1,
        spec: specOf(record, index),
        state,
        counts: countsOf(rows),
        traffic: judgedOf(state) ?? lookAt(rows, book, record.policy.traffic),
      };
    }),
    counts: countsOf(tenants),
    unheard: tenants.filter(
      ({ tenant, progress }) =>
        progress.kind === 'returning' && book.tenant(tenant)?.connection === 'offline',
    ).length,
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
    awaits: null,
    waves: record.waves.map((state, index) => ({
      wave: index + 1,
      spec: specOf(record, index),
      state,
      counts: waves.get(index) ?? countsOf([]),
      traffic: judgedOf(state),
    })),
    counts: total,
    failures,
  };
}

function isCount(key: string, counts: Counts): key is keyof Counts {
  return key in counts;
}

function headOf(
  record: RolloutRecord,
): Omit<RolloutShown, 'held' | 'awaits' | 'waves' | 'counts' | 'unheard' | 'failures'> {
  const { rollout, app, to, policy, state, startedBy, createdAt, updatedAt, endedAt, acts, afterEvent } =
    record;
  const wave = Math.min(record.wave + 1, record.waves.length);
  return {
    rollout,
    app,
    to,
    policy,
    state,
    wave,
    startedBy,
    createdAt,
    updatedAt,
    endedAt,
    acts: [...acts],
    afterEvent,
  };
}

function specOf(record: RolloutRecord, wave: number): RolloutPolicy['waves'][number] {
  const spec = record.policy.waves[wave];
  if (spec === undefined) throw new Error(`rollout ${record.rollout} has no wave ${wave}`);
  return spec;
}

/** The figures on which a wave was judged, once it was. */
function judgedOf(state: WaveState): Judged | null {
  return 'traffic' in state ? (state.traffic ?? null) : null;
}

/** Once a rollout is over nobody follows those that are still on their way back; what their agents say is shown. */
function asSeen({ record, rollout, book }: Open, row: RolloutTenant): RolloutTenant {
  const { progress } = row;
  if (progress.kind !== 'returning' || !isOver(record.state)) return row;
  // Without a time limit, since there is nobody who would have looked in time.
  const seen = observe(rollout, row, book.tenant(row.tenant), progress.since).at(0);
  if (seen?.kind !== 'progress') return row;
  const { kind } = seen.progress;
  return kind === 'returned' || kind === 'stuck' ? { ...row, progress: seen.progress } : row;
}

/** `step`: the title of what its agent does just now. */
export function rolloutTenantShown(open: Open, row: RolloutTenant, step: string | null): TenantShown {
  const { tenant, wave, position, fromRelease, progress, before } = asSeen(open, row);
  const after = open.book.tenant(tenant)?.after ?? null;
  return {
    tenant,
    wave: wave + 1,
    position,
    host: open.book.tenant(tenant)?.host ?? null,
    hostName: open.book.hostName(tenant),
    connection: open.book.tenant(tenant)?.connection ?? null,
    fromRelease,
    progress,
    step,
    traffic:
      after === null
        ? null
        : {
            before: before ?? noTraffic(),
            after,
            verdict: judgeTraffic(before, after, open.record.policy.traffic),
          },
  };
}
