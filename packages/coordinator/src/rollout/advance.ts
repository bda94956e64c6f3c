import type { Judged, Verdict } from '@berth/shared/domain/rollout';
import { IRREVERSIBLE, observe } from './observe.ts';
import { failuresOf, hasFailed } from './counts.ts';
import { begins, comeBack, isOpen } from './eligible.ts';
import { takeBack } from './take-back.ts';
import { lookAt, verdictOn } from './traffic.ts';
import type { Counted, Decision, Facts, Rollout, RolloutTenant } from './types.ts';

/**
 * What is to be done next; empty when there is nothing to do before something else happens. Decisions about single
 * tenants come alone, so that what follows from them is decided when they are on record.
 */
export function advance(rollout: Rollout, facts: Facts, now: number): Decision[] {
  const { state } = rollout;
  switch (state.kind) {
    case 'queued':
      return facts.ahead === null ? [{ kind: 'state', state: { kind: 'running' } }] : [];
    case 'completed':
    case 'rolled-back':
    case 'aborted':
      return [];
    case 'paused':
      return observeAll(rollout, facts, now);
    case 'rolling-back':
      return firstOf(
        () => observeAll(rollout, facts, now),
        () => takeBack(rollout, state, facts, now),
      );
    case 'running':
    case 'waiting':
      return firstOf(
        () => observeAll(rollout, facts, now),
        () => haltByFailures(rollout, facts, now),
        () => haltByTraffic(rollout, facts, now),
        () => closeLate(rollout, now),
        () => comeBack(rollout, facts, now),
        () => begins(rollout, facts, now),
        () => moveWave(rollout, facts, now),
        () => end(rollout),
      );
  }
}

function firstOf(...ways: (() => Decision[])[]): Decision[] {
  for (const way of ways) {
    const decisions = way();
    if (decisions.length > 0) return decisions;
  }
  return [];
}

const WATCHED: ReadonlySet<RolloutTenant['progress']['kind']> = new Set([
  'moving',
  'live',
  'moved',
  'returning',
]);

function observeAll(rollout: Rollout, facts: Facts, now: number): Decision[] {
  return rollout.tenants.flatMap((row) =>
    WATCHED.has(row.progress.kind) ? observe(rollout, row, facts.tenant(row.tenant), now) : [],
  );
}

function haltByFailures(rollout: Rollout, facts: Facts, now: number): Decision[] {
  const failures = failuresOf(rollout) - rollout.forgiven;
  const { maxFailures } = rollout.policy;
  if (failures <= maxFailures) return [];
  const last = rollout.tenants.filter(hasFailed).at(-1);
  const tenants = failures === 1 ? '1 tenant' : `${failures} tenants`;
  return halt(
    rollout,
    facts,
    `${tenants} failed and ${maxFailures === 0 ? 'none' : maxFailures} may${last === undefined ? '' : `; ${last.tenant}: ${wordsOf(last)}`}`,
    now,
  );
}

function wordsOf({ progress }: RolloutTenant): string {
  if (progress.kind === 'failed' || progress.kind === 'stuck') return progress.problem.message;
  return progress.kind === 'returning' || progress.kind === 'returned' ? progress.why : '';
}

function haltByTraffic(rollout: Rollout, facts: Facts, now: number): Decision[] {
  if (rollout.waves[rollout.wave]?.kind !== 'moving' && rollout.waves[rollout.wave]?.kind !== 'baking')
    return [];
  const verdict = verdictOf(rollout, rollout.wave, facts);
  return verdict.kind === 'bad' ? halt(rollout, facts, `its requests fare worse: ${verdict.why}`, now) : [];
}

/** The tenants of a wave together, against their own past. */
export function verdictOf(rollout: Rollout, wave: number, facts: Facts) {
  return verdictOn(rowsOf(rollout, wave), facts, rollout.policy.traffic);
}

function rowsOf(rollout: Rollout, wave: number): RolloutTenant[] {
  return rollout.tenants.filter((each) => each.wave === wave);
}

/** The figures of a wave that is judged now: they are kept with it, since its tenants move on. */
function figuresOf(
  rollout: Rollout,
  wave: number,
  facts: Facts,
  counted: Counted = { kind: 'complete' },
): { traffic?: Judged } {
  const traffic = lookAt(rowsOf(rollout, wave), facts, rollout.policy.traffic);
  if (traffic === null) return {};
  return { traffic: { ...traffic, verdict: heldTo(traffic.verdict, counted) } };
}

/** What looks well with some of it missing may not be. */
function heldTo(verdict: Verdict, counted: Counted): Verdict {
  if (counted.kind !== 'missing' || verdict.kind === 'bad') return verdict;
  const { why } = counted;
  return { kind: 'not-judged', why: verdict.kind === 'good' ? why : `${verdict.why}; ${why}` };
}

function halt(rollout: Rollout, facts: Facts, why: string, now: number): Decision[] {
  const at = Math.min(rollout.wave, rollout.waves.length - 1);
  const reason = `Wave ${at + 1}: ${why}`.slice(0, 1800);
  const failed: Decision[] =
    rollout.wave < rollout.waves.length
      ? [
          {
            kind: 'wave',
            wave: at,
            state: {
              kind: 'failed',
              at: now,
              why: why.slice(0, 1800),
              ...figuresOf(rollout, at, facts),
            },
          },
        ]
      : [];
  if (rollout.policy.onFailure === 'rollback' && rollout.reversal === 'free' && failed.length > 0)
    return [...failed, { kind: 'state', state: { kind: 'rolling-back', scope: 'wave', reason } }];
  const stays =
    rollout.policy.onFailure === 'rollback' && rollout.reversal !== 'free' ? ` ${IRREVERSIBLE}` : '';
  return [
    ...failed,
    { kind: 'state', state: { kind: 'paused', by: 'failure', reason: `${reason}${stays}` } },
  ];
}

/** Tenants that were picked up after their wave had passed bake by themselves. */
function closeLate(rollout: Rollout, now: number): Decision[] {
  return rollout.tenants.flatMap((row): Decision[] => {
    const { progress } = row;
    if (progress.kind !== 'live' || row.wave >= rollout.wave) return [];
    if (now < progress.since + rollout.policy.bakeMs) return [];
    return [moved(row, progress.generation, now)];
  });
}

function moved(row: RolloutTenant, generation: number, now: number): Decision {
  return { kind: 'progress', tenant: row.tenant, progress: { kind: 'moved', generation, at: now } };
}

function moveWave(rollout: Rollout, facts: Facts, now: number): Decision[] {
  const { wave } = rollout;
  const state = rollout.waves[wave];
  if (state === undefined) return [];
  const rows = rowsOf(rollout, wave);
  switch (state.kind) {
    case 'pending':
      return beginWave(rollout, rows, now);
    case 'moving':
      return bake(rollout, rows, facts, now);
    case 'baking':
      return pass(rollout, rows, facts, now, state);
    case 'awaiting-approval':
    case 'failed':
    case 'rolled-back':
    case 'aborted':
      return [];
    case 'passed':
      return [{ kind: 'advance', wave: wave + 1 }];
  }
}

function beginWave(rollout: Rollout, rows: readonly RolloutTenant[], now: number): Decision[] {
  const { wave } = rollout;
  if (rows.length === 0)
    return [{ kind: 'wave', wave, state: { kind: 'passed', at: now, judged: 'it has no tenants' } }];
  if (isAsked(rollout, wave))
    return [{ kind: 'wave', wave, state: { kind: 'awaiting-approval', why: 'it was asked for' } }];
  return [{ kind: 'wave', wave, state: { kind: 'moving', since: now } }];
}

/** Whether this wave is to be approved, or one just before it that has no tenants: its word is not lost with it. */
function isAsked(rollout: Rollout, wave: number): boolean {
  if (rollout.policy.waves[wave]?.approval === 'ask') return true;
  const before = wave - 1;
  return before >= 0 && !rollout.tenants.some((each) => each.wave === before) && isAsked(rollout, before);
}

/** Who is on its way and can be heard; an offline host holds up nobody. */
function isUnderWay(row: RolloutTenant, facts: Facts): boolean {
  if (row.progress.kind === 'pending') return true;
  if (row.progress.kind !== 'moving' && row.progress.kind !== 'returning') return false;
  return facts.tenant(row.tenant)?.connection === 'online';
}

function bake(rollout: Rollout, rows: readonly RolloutTenant[], facts: Facts, now: number): Decision[] {
  if (rows.some((row) => isUnderWay(row, facts))) return [];
  const { wave } = rollout;
  if (rows.some(({ progress }) => progress.kind === 'live')) {
    const until = bakeUntil(rollout, rows, now);
    return [{ kind: 'wave', wave, state: { kind: 'baking', since: now, until } }];
  }
  // A wave in which nobody could be moved says nothing about the release: it waits for them, or for a person.
  if (rows.some((row) => isOpen(row))) return [];
  const failed = rows.filter(hasFailed).length;
  if (failed > 0) return halt(rollout, facts, `all ${failed} of its tenants that could be moved failed`, now);
  if (rows.some(isAwaitedByWave) && rollout.tenants.some((each) => each.wave > wave)) return [];
  return [
    { kind: 'wave', wave, state: { kind: 'passed', at: now, judged: 'not judged: it moved no tenant' } },
  ];
}

/** An operator ends it. The rollout does not wait for it, but the waves after one that tried nothing do. */
function isAwaitedByWave({ progress }: RolloutTenant): boolean {
  return progress.kind === 'skipped' && (progress.reason === 'pinned' || progress.reason === 'paused');
}

function bakeUntil(rollout: Rollout, rows: readonly RolloutTenant[], now: number): number {
  const last = rows.reduce(
    (max, { progress }) => (progress.kind === 'live' ? Math.max(max, progress.since) : max),
    0,
  );
  return Math.min(now, last) + rollout.policy.bakeMs;
}

function pass(
  rollout: Rollout,
  rows: readonly RolloutTenant[],
  facts: Facts,
  now: number,
  state: { since: number; until: number },
): Decision[] {
  const { wave } = rollout;
  if (rows.some((row) => isUnderWay(row, facts))) return [];
  const until = Math.max(state.until, bakeUntil(rollout, rows, now));
  if (until > state.until)
    return [{ kind: 'wave', wave, state: { kind: 'baking', since: state.since, until } }];
  if (now < until) return [];
  if (!rows.some(({ progress }) => progress.kind === 'live')) {
    const failed = rows.filter(hasFailed).length;
    if (failed > 0)
      return halt(rollout, facts, `all ${failed} of its tenants that could be moved failed`, now);
  }
  // Tenants serve on meanwhile; what they served until the end counts.
  const counted = facts.counted(wave, until);
  if (counted.kind === 'awaited') return [];
  const verdict = heldTo(verdictOf(rollout, wave, facts), counted);
  const judged = verdict.kind === 'good' ? 'good' : `not judged: ${verdict.why}`;
  return [
    ...rows.flatMap((row) =>
      row.progress.kind === 'live' ? [moved(row, row.progress.generation, now)] : [],
    ),
    {
      kind: 'wave',
      wave,
      state: { kind: 'passed', at: now, judged, ...figuresOf(rollout, wave, facts, counted) },
    },
    { kind: 'advance', wave: wave + 1 },
  ];
}

function end(rollout: Rollout): Decision[] {
  if (rollout.wave < rollout.waves.length) return [];
  if (!rollout.tenants.some(isOpen)) return [{ kind: 'state', state: { kind: 'completed' } }];
  return rollout.state.kind === 'waiting' ? [] : [{ kind: 'state', state: { kind: 'waiting' } }];
}
