import type { DesiredTenant } from '@berth/shared/domain/desired';
import type { TenantStatus } from '@berth/shared/domain/status';
import type { Problem } from '@berth/shared/domain/step';
import { decided } from './released.ts';

/**
 * What the coordinator's newest word makes of a status on which nobody works: a generation it took back is left, and what
 * had failed of it is forgotten. `kept` tells whether all of the desired generation's containers are still there; without
 * them it is made anew like any other, whatever its number.
 */
export function heed(
  status: TenantStatus,
  desired: DesiredTenant,
  kept: () => 'whole' | 'gone',
  now: number,
): TenantStatus {
  return forget(withdraw(decided(status, desired.decision), desired, kept, now), desired);
}

function withdraw(
  status: TenantStatus,
  desired: DesiredTenant,
  kept: () => 'whole' | 'gone',
  now: number,
): TenantStatus {
  const { move, live } = status;
  if (move.kind === 'preparing') {
    if (move.generation === desired.generation || live !== desired.generation) return status;
    return { ...status, move: { kind: 'idle' }, known: [desired] };
  }
  if (move.kind !== 'switched' && move.kind !== 'baking') return status;
  if (move.generation === desired.generation || move.from !== desired.generation) return status;
  if (kept() === 'gone') return status;
  const back = status.known.find((each) => each.generation === move.generation);
  const what = back === undefined ? `Generation ${move.generation}` : `Release ${back.release}`;
  const why: Problem = {
    code: 'withdrawn',
    // A rollout, or a person: the same entry says both, so the words say neither.
    message: `${what} was taken back.`,
    step: 'withdraw',
    service: null,
    logTail: [],
    at: now,
  };
  return {
    ...status,
    move: { kind: 'returning', generation: move.generation, to: desired.generation, why },
    known: back === undefined ? [desired] : [desired, back],
  };
}

/** What serves is what is wanted, so nothing that failed before matters any more. */
function forget(status: TenantStatus, desired: DesiredTenant): TenantStatus {
  const { failure, live, move } = status;
  if (failure === null || live !== desired.generation || failure.generation === desired.generation)
    return status;
  return move.kind === 'idle' || move.kind === 'baking' ? { ...status, failure: null } : status;
}
