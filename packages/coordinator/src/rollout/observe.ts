import type { RolloutProblem, TenantProgress } from '@berth/shared/domain/rollout';
import { judgeTraffic } from './traffic.ts';
import type { Decision, Rollout, RolloutTenant, TenantFact } from './types.ts';

/** What the facts say of one tenant that is under way, or of one that was and fails now. */
export function observe(
  rollout: Rollout,
  row: RolloutTenant,
  fact: TenantFact | null,
  now: number,
): Decision[] {
  const { progress } = row;
  if (progress.kind === 'moved') return late(row, progress, fact, now);
  if (progress.kind !== 'moving' && progress.kind !== 'live' && progress.kind !== 'returning') return [];
  if (fact === null || fact.state === 'removing') return [skipped(row, 'removed')];
  // Somebody changed it meanwhile; what it does now is his, not ours.
  if (fact.generation !== progress.generation) return [skipped(row, 'changed')];
  switch (progress.kind) {
    case 'moving':
      return moving(rollout, row, progress, fact, now);
    case 'live':
      return live(rollout, row, progress, fact, now);
    case 'returning':
      return returning(rollout, row, progress, fact, now);
  }
}

type Of<K extends TenantProgress['kind']> = Extract<TenantProgress, { kind: K }>;

function moving(
  rollout: Rollout,
  row: RolloutTenant,
  progress: Of<'moving'>,
  fact: TenantFact,
  now: number,
): Decision[] {
  const said = saidOf(fact, progress.generation);
  if (said?.phase === 'failed') return fails(row, progress.generation, fact, said.problem, now);
  if (said !== null && serves(said, progress.generation))
    return [set(row, { kind: 'live', generation: progress.generation, since: now })];
  if (said?.problem?.code === 'release_outcome_unknown')
    return fails(row, progress.generation, fact, said.problem, now);
  if (now - progress.since < rollout.policy.moveTimeoutMs) return [];
  // Nobody knows how it fares, so it neither failed nor holds up its wave; it is watched again when its host is back.
  if (fact.connection === 'offline') return [set(row, { kind: 'skipped', reason: 'offline' })];
  const problem = said?.problem ?? {
    code: 'timeout' as const,
    message: `It did not serve the new release within ${seconds(rollout.policy.moveTimeoutMs)}.`,
  };
  return fails(row, progress.generation, fact, problem, now);
}

function live(
  rollout: Rollout,
  row: RolloutTenant,
  progress: Of<'live'>,
  fact: TenantFact,
  now: number,
): Decision[] {
  const said = saidOf(fact, progress.generation);
  if (said !== null && (said.phase === 'failed' || gaveUp(said, progress.generation)))
    return fails(row, progress.generation, fact, said.problem, now);
  const verdict = judgeTraffic(row.before, fact.after, rollout.policy.traffic);
  if (verdict.kind !== 'bad') return [];
  const why = `Its requests fare worse: ${verdict.why}.`;
  if (rollout.reversal === 'free') return [{ kind: 'return', tenant: row.tenant, why, cause: 'failure' }];
  const problem = { code: 'traffic_worse' as const, message: why };
  return [
    set(row, { kind: 'failed', generation: progress.generation, at: now, problem, stays: IRREVERSIBLE }),
  ];
}

/** Its wave has passed, and its agent still went back: its own bake ends a little later. */
function late(row: RolloutTenant, progress: Of<'moved'>, fact: TenantFact | null, now: number): Decision[] {
  if (fact === null || fact.generation !== progress.generation) return [];
  const said = saidOf(fact, progress.generation);
  if (said === null || !gaveUp(said, progress.generation)) return [];
  return fails(row, progress.generation, fact, said.problem, now);
}

function returning(
  rollout: Rollout,
  row: RolloutTenant,
  progress: Of<'returning'>,
  fact: TenantFact,
  now: number,
): Decision[] {
  const { generation, why, cause } = progress;
  // Its last word may be from before it was begun: it is back when its agent says so, not when it was last heard.
  if (fact.connection === 'offline') return [];
  const said = saidOf(fact, generation);
  if (said !== null && said.phase !== 'failed' && serves(said, generation))
    return [set(row, { kind: 'returned', generation, at: now, why, cause })];
  const late = now - progress.since >= rollout.policy.moveTimeoutMs;
  if (said?.phase !== 'failed' && !late) return [];
  const problem = said?.problem ?? {
    code: 'timeout' as const,
    message: `It did not serve the old release again within ${seconds(rollout.policy.moveTimeoutMs)}.`,
  };
  return [set(row, { kind: 'stuck', at: now, problem, cause })];
}

export const IRREVERSIBLE =
  'The release command of the new release is marked irreversible, so nobody goes back past it by himself.';

/** The agent has gone back by itself, or stays; in the first case what is desired becomes what serves. */
function fails(
  row: RolloutTenant,
  generation: number,
  fact: TenantFact,
  problem: RolloutProblem | null,
  now: number,
): Decision[] {
  const reason = problem ?? {
    code: 'internal' as const,
    message: 'Its agent says that it failed, and not why.',
  };
  const failed = (stays: string | null): Decision =>
    set(row, { kind: 'failed', generation, at: now, problem: reason, stays });
  if (reason.code === 'release_outcome_unknown')
    return [failed('Whether its release command finished is not known; somebody has to say.')];
  if (fact.reported?.live === generation) return [failed(IRREVERSIBLE)];
  return [failed(null), { kind: 'restore', tenant: row.tenant }];
}

function set(row: RolloutTenant, progress: TenantProgress): Decision {
  return { kind: 'progress', tenant: row.tenant, progress };
}

function skipped(row: RolloutTenant, reason: 'removed' | 'changed'): Decision {
  return set(row, { kind: 'skipped', reason });
}

type Said = NonNullable<TenantFact['reported']>;

/** The agent's word, if it is about this generation; an older word says nothing. */
function saidOf(fact: TenantFact, generation: number): Said | null {
  return fact.reported?.generation === generation ? fact.reported : null;
}

function serves(said: Said, generation: number): boolean {
  return said.live === generation && (said.phase === 'baking' || said.phase === 'settled');
}

/** It served, and something else does now. */
function gaveUp(said: Said, generation: number): boolean {
  return said.live !== generation && said.phase !== 'moving' && said.phase !== 'waiting';
}

function seconds(ms: number): string {
  return ms < 120_000 ? `${Math.round(ms / 1000)} s` : `${Math.round(ms / 60_000)} min`;
}
