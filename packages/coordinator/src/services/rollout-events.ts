import { unreachable } from '@berth/shared/domain/errors';
import type { RolloutState, TenantProgress, WaveState } from '@berth/shared/domain/rollout';
import { waveText } from '@berth/shared/domain/waves-text';
import type { Decision, Rollout, RolloutTenant, TenantFact } from '../rollout/types.ts';
import type { NewEvent } from './records.ts';
import type { Told } from './rollout-moves.ts';

/** One event for each thing that decisions changed. Waves are counted from 1 for people. */
export function rolloutEvents(
  given: { decisions: readonly Decision[]; now: number; fact(tenant: string): TenantFact | null },
  after: Rollout,
  changed: readonly RolloutTenant[],
  told: ReadonlyMap<string, Told>,
): NewEvent[] {
  const events = changed.map((row): NewEvent => {
    const { tenant, wave, progress } = row;
    const fact = given.fact(tenant);
    const place = told.get(tenant) ?? fact;
    return {
      kind: 'rollout.tenant',
      at: given.now,
      tenant,
      app: after.app,
      host: place?.host ?? null,
      generation: 'generation' in progress ? progress.generation : (place?.generation ?? null),
      message: `Rollout ${after.rollout}: ${tenant} ${progressWords(progress, after.to)}.`,
      details: { rollout: after.rollout, wave: wave + 1, progress },
    };
  });
  for (const decision of given.decisions) {
    if (decision.kind === 'wave') events.push(waveEvent(after, decision.wave, decision.state, given.now));
    if (decision.kind === 'state') events.push(stateEvent(after, decision.state, given.now));
  }
  return events;
}

export function stateEvent(
  rollout: Pick<Rollout, 'rollout' | 'app' | 'to'>,
  state: RolloutState,
  at: number,
): NewEvent {
  return {
    ...nobody(rollout.app, at),
    kind: 'rollout.state',
    message:
      `Rollout ${rollout.rollout} of ${rollout.app} to release ${rollout.to} ${stateWords(state)}`.slice(
        0,
        2000,
      ),
    details: { rollout: rollout.rollout, state },
  };
}

function waveEvent(rollout: Rollout, wave: number, state: WaveState, at: number): NewEvent {
  const spec = rollout.policy.waves[wave];
  const name = `wave ${wave + 1}${spec === undefined ? '' : ` (${waveText(spec)})`}`;
  return {
    ...nobody(rollout.app, at),
    kind: 'rollout.wave',
    message: `Rollout ${rollout.rollout}: ${name} ${waveWords(state)}.`.slice(0, 2000),
    details: { rollout: rollout.rollout, wave: wave + 1, state },
  };
}

export function nobody(app: string, at: number): Omit<NewEvent, 'kind' | 'message' | 'details'> {
  return { at, tenant: null, app, host: null, generation: null };
}

function progressWords(progress: TenantProgress, to: number): string {
  switch (progress.kind) {
    case 'pending':
      return 'waits for its turn';
    case 'skipped':
      return `is skipped (${progress.reason})`;
    case 'moving':
      return `moves to release ${to} as generation ${progress.generation}`;
    case 'live':
      return `serves release ${to}`;
    case 'moved':
      return `has moved to release ${to}`;
    case 'failed':
      return `failed: ${progress.problem.message.replace(/\.$/, '').slice(0, 800)}`;
    case 'returning':
      return `goes back: ${progress.why.replace(/\.$/, '').slice(0, 800)}`;
    case 'returned':
      return 'is back on its earlier release';
    case 'stuck':
      return `could not go back: ${progress.problem.message.replace(/\.$/, '').slice(0, 800)}`;
    default:
      return unreachable(progress);
  }
}

function waveWords(state: WaveState): string {
  switch (state.kind) {
    case 'pending':
      return 'is to come';
    case 'awaiting-approval':
      return `waits for approval: ${state.why}`;
    case 'moving':
      return 'moves';
    case 'baking':
      return 'is watched';
    case 'passed':
      return `has passed, ${state.judged}`;
    case 'failed':
      return `failed: ${state.why}`;
    case 'rolled-back':
      return 'was rolled back';
    case 'aborted':
      return 'was aborted';
    default:
      return unreachable(state);
  }
}

function stateWords(state: RolloutState): string {
  switch (state.kind) {
    case 'queued':
      return 'waits for the one before it.';
    case 'running':
      return 'runs.';
    case 'paused':
      return `is ${state.by === 'failure' ? 'halted' : 'paused'}: ${state.reason}`;
    case 'rolling-back':
      return `goes back: ${state.reason}`;
    case 'waiting':
      return 'waits for tenants that could not be moved yet.';
    case 'completed':
      return 'is complete.';
    case 'rolled-back':
      return `was rolled back: ${state.reason}`;
    case 'aborted':
      return `was aborted: ${state.reason}`;
    default:
      return unreachable(state);
  }
}
