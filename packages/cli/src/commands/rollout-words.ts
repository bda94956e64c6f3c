import type { Counts, Rollout, RolloutWave } from '@berth/shared/api/rollouts';
import type {
  Judged,
  RolloutState,
  SkipReason,
  TenantProgress,
  Verdict,
  WaveState,
} from '@berth/shared/domain/rollout';
import { addTraffic, quantileMs, type Traffic } from '@berth/shared/domain/traffic';
import { unreachable } from '@berth/shared/domain/errors';
import { duration, timestamp } from '../output/format.ts';
import { clean, type Style } from '../output/style.ts';

/** A rollout's state in a word or two. */
export function stateText(state: RolloutState, style: Style): string {
  switch (state.kind) {
    case 'completed':
      return style.green('completed');
    case 'running':
      return style.cyan('running');
    case 'queued':
    case 'waiting':
      return style.yellow(state.kind);
    case 'paused':
      return state.by === 'failure' ? style.red('halted') : style.yellow('paused');
    case 'rolling-back':
      return style.red(SCOPES[state.scope]);
    case 'rolled-back':
      return style.red('rolled back');
    case 'aborted':
      return style.red('aborted');
    default:
      return unreachable(state);
  }
}

/** Why it is in this state; null when that says itself. */
export function whyOf(state: RolloutState): string | null {
  switch (state.kind) {
    case 'paused':
      return (
        [state.reason, ...(state.from === 'queued' ? ['its turn has not come yet'] : [])]
          .filter((part) => part !== '')
          .map(clean)
          .join('; ') || null
      );
    case 'rolling-back':
    case 'rolled-back':
    case 'aborted':
      return state.reason === '' ? null : clean(state.reason);
    case 'queued':
      return 'it waits for the rollout of this app before it';
    case 'waiting':
      return 'every wave has passed; tenants that were skipped are picked up when they can be';
    case 'running':
    case 'completed':
      return null;
    default:
      return unreachable(state);
  }
}

export function waveStateText(state: WaveState, style: Style): string {
  switch (state.kind) {
    case 'pending':
      return style.dim('pending');
    case 'awaiting-approval':
      return style.yellow('asks for approval');
    case 'moving':
    case 'baking':
      return style.cyan(state.kind);
    case 'passed':
      return style.green('passed');
    case 'failed':
      return style.red('failed');
    case 'rolled-back':
      return style.red('rolled back');
    case 'aborted':
      return style.red('aborted');
    default:
      return unreachable(state);
  }
}

/** What there is to say of a wave beyond its state; null when there is nothing. */
export function whyOfWave(state: WaveState): string | null {
  switch (state.kind) {
    case 'awaiting-approval':
    case 'failed':
      return clean(state.why);
    case 'passed':
      return state.judged === '' ? null : clean(state.judged);
    case 'pending':
    case 'moving':
    case 'baking':
    case 'rolled-back':
    case 'aborted':
      return null;
    default:
      return unreachable(state);
  }
}

const SKIPPED: Readonly<Record<SkipReason, string>> = {
  offline: 'its host is offline',
  pinned: 'it is pinned',
  window: 'outside of its window',
  paused: 'it is paused',
  removed: 'it was deleted',
  changed: 'it was changed by hand',
  current: 'it has the release already',
};

export function skippedText(reason: SkipReason): string {
  return SKIPPED[reason];
}

export function progressText(progress: TenantProgress, style: Style): string {
  switch (progress.kind) {
    case 'pending':
      return style.dim('pending');
    case 'skipped':
      return style.yellow(`skipped: ${SKIPPED[progress.reason]}`);
    case 'moving':
      return style.cyan('moving');
    case 'live':
    case 'moved':
      return style.green(progress.kind);
    case 'failed':
      return style.red('failed');
    case 'returning':
      return style.red('returning');
    case 'returned':
      return style.red('returned');
    case 'stuck':
      return style.red('stuck');
    default:
      return unreachable(progress);
  }
}

/** Why a tenant is where it is; null when that says itself. */
export function whyOfTenant(progress: TenantProgress): string | null {
  switch (progress.kind) {
    case 'failed':
      return clean(
        progress.stays === null
          ? progress.problem.message
          : `${progress.problem.message} It is not taken back: ${progress.stays}`,
      );
    case 'stuck':
      return clean(progress.problem.message);
    case 'returning':
    case 'returned':
      return progress.why === '' ? null : clean(progress.why);
    case 'pending':
    case 'skipped':
    case 'moving':
    case 'live':
    case 'moved':
      return null;
    default:
      return unreachable(progress);
  }
}

export function verdictText(verdict: Verdict, style: Style): string {
  switch (verdict.kind) {
    case 'good':
      return style.green('good');
    case 'bad':
      return style.red(`bad: ${clean(verdict.why)}`);
    case 'not-judged':
      return style.yellow(`not judged: ${clean(verdict.why)}`);
    default:
      return unreachable(verdict);
  }
}

type Looked = Pick<Judged, 'before' | 'after'> | null;

/** The share of 5xx answers, before and after: `0.4% → 12%`. */
export function errorsText(traffic: Looked): string {
  return traffic === null ? '' : `${errorShare(traffic.before)} → ${errorShare(traffic.after)}`;
}

/** The p95 latency, before and after: `120 ms → 340 ms`. */
export function p95Text(traffic: Looked): string {
  return traffic === null ? '' : `${p95(traffic.before)} → ${p95(traffic.after)}`;
}

/** The figures of all waves of a rollout together; null when none was looked at. */
export function judgedOf({ waves }: Pick<Rollout, 'waves'>): Looked {
  return waves.reduce<Looked>(
    (sum, { traffic }) =>
      traffic === null
        ? sum
        : sum === null
          ? traffic
          : {
              before: addTraffic(sum.before, traffic.before),
              after: addTraffic(sum.after, traffic.after),
            },
    null,
  );
}

function errorShare({ requests, errors }: Traffic): string {
  if (requests === 0) return '–';
  const percent = (errors / requests) * 100;
  return `${percent >= 10 || percent === 0 ? Math.round(percent) : percent.toFixed(percent < 0.1 ? 2 : 1)}%`;
}

function p95(traffic: Traffic): string {
  const ms = quantileMs(traffic, 0.95);
  if (ms === null) return '–';
  return ms < 10
    ? `${ms.toFixed(1)} ms`
    : ms < 10_000
      ? `${Math.round(ms)} ms`
      : `${Math.round(ms / 1000)} s`;
}

export function totalOf(counts: Counts): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}

/**
 * Whether it goes on only when a window opens or somebody does something: nobody of its wave can be moved now. A host that
 * is offline may be back at any moment.
 */
export function waitsForWindow({ state, awaits }: Rollout): boolean {
  const first = awaits?.first[0];
  return state.kind === 'running' && first !== undefined && first.reason !== 'offline';
}

/** Who is waited for, a line each, and until when. */
export function awaitedLines({ awaits }: Rollout, now: number): string[] {
  if (awaits === null) return [];
  const lines = awaits.first.map(({ tenant, reason, window, opensAt }) => {
    if (reason !== 'window') return `${tenant}: ${SKIPPED[reason]}`;
    const opens =
      opensAt === null ? '' : `, which opens at ${timestamp(opensAt)} UTC, in ${duration(opensAt - now)}`;
    return `${tenant} waits for its window ${clean(window ?? '')}${opens}`;
  });
  const more = awaits.tenants - awaits.first.length;
  return more > 0 ? [...lines, `and ${more} more`] : lines;
}

/** The wave that asks for approval, when one does. */
export function asksFor(rollout: Rollout): RolloutWave | undefined {
  return rollout.waves.find((wave) => wave.state.kind === 'awaiting-approval');
}

const SCOPES = {
  wave: 'rolling back its wave',
  all: 'rolling back',
  'under-way': 'being aborted',
} as const;
