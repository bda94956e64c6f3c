import type { RolloutAttempt } from '@berth/shared/api/schemas';
import { unreachable } from '@berth/shared/domain/errors';
import { TenantProgress } from '@berth/shared/domain/rollout';
import { z } from 'zod';
import type { TenantHistoryEntry } from '@berth/shared/api/rollouts';
import type { EventRecord } from './records.ts';

const Details = z.object({ rollout: z.number(), progress: TenantProgress });

/**
 * What the newest rollout that had to do with a tenant tried and did not bring about, as far as that still says something:
 * not once somebody has given the tenant another generation himself. `event` is the newest of the tenant's
 * `rollout.tenant` events, `newest` the newest entry of its history, `to` the release a rollout moves to.
 */
export async function attemptOf(
  event: EventRecord | undefined,
  newest: TenantHistoryEntry | undefined,
  to: (rollout: number) => Promise<number | null>,
): Promise<RolloutAttempt | null> {
  const details = Details.safeParse(event?.details).data;
  if (event === undefined || details === undefined) return null;
  if (newest !== undefined && newest.rollout !== details.rollout && newest.at > event.at) return null;
  const became = becameOf(details.progress);
  const release = became === null ? null : await to(details.rollout);
  if (became === null || release === null) return null;
  return { rollout: details.rollout, release, at: event.at, ...became };
}

function becameOf(progress: TenantProgress): Pick<RolloutAttempt, 'became' | 'reason'> | null {
  switch (progress.kind) {
    case 'failed':
      return {
        became: progress.stays !== null ? 'stays' : progress.generation === null ? 'not-begun' : 'taken-back',
        reason: progress.problem.message,
      };
    case 'returning':
      return { became: 'returning', reason: progress.why };
    case 'returned':
      return { became: 'taken-back', reason: progress.why };
    case 'stuck':
      return { became: 'stuck', reason: progress.problem.message };
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
