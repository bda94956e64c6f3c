import type { RolloutAct } from '@berth/shared/domain/rollout';
import type { Decision, Rollout } from '../rollout/types.ts';

/** What somebody did to a rollout. `by`: the actor. */
export interface Done {
  what: RolloutAct['what'];
  by: string;
  reason: string | null;
}

/** Kept of one rollout; the newest. */
const MOST_ACTS = 200;

/** What is on record of a rollout's stops and of what people did, with what these decisions add. `done`: who made them. */
export function actsAfter(
  acts: readonly RolloutAct[],
  before: Rollout,
  decisions: readonly Decision[],
  done: Done | null,
  at: number,
): RolloutAct[] {
  const wave = Math.min(before.wave + 1, before.waves.length);
  const added: RolloutAct[] =
    done === null
      ? decisions.flatMap((decision) => stopOf(before, decision).map((stop) => ({ at, by: null, ...stop })))
      : [{ at, by: done.by, what: done.what, wave, why: done.reason }];
  return [...acts, ...added].slice(-MOST_ACTS);
}

type Stop = Pick<RolloutAct, 'what' | 'wave' | 'why'>;

/** Where nobody made the decision: what of it stops the rollout. */
function stopOf(before: Rollout, decision: Decision): Stop[] {
  const wave = before.wave + 1;
  if (decision.kind === 'wave' && decision.state.kind === 'awaiting-approval')
    return [{ what: 'asked', wave: decision.wave + 1, why: decision.state.why }];
  if (decision.kind !== 'state') return [];
  const { state } = decision;
  if (state.kind === 'rolling-back') return [{ what: 'halted', wave, why: state.reason }];
  if (state.kind !== 'paused' || state.by !== 'failure') return [];
  // Why it halted was told when its wave began to go back.
  return before.state.kind === 'rolling-back'
    ? [{ what: 'wave-rolled-back', wave, why: null }]
    : [{ what: 'halted', wave, why: state.reason }];
}
