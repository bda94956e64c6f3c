import type { DesiredState } from '@berth/shared/domain/desired';
import type { TenantStatus } from '@berth/shared/domain/status';
import type { Problem } from '@berth/shared/domain/step';
import type { Clock, Reports } from './ports.ts';
import type { Voice } from './voice.ts';

export interface RefusalDeps {
  clock: Clock;
  reports: Reports;
  voice: Voice;
  statusOf(tenant: string): TenantStatus;
}

/**
 * Tells of tenants whose new state could not be kept on disk: nothing of it has begun, what serves goes on, and the
 * coordinator sends it again by itself. Each generation is told once.
 */
export function createRefusals({ clock, reports, voice, statusOf }: RefusalDeps) {
  const told = new Map<string, string>();
  return (refused: DesiredState, changed: readonly string[], why: string): void => {
    for (const tenant of changed) {
      const wanted = refused.tenants[tenant];
      if (wanted === undefined) continue;
      const key = `${refused.revision} ${wanted.generation} ${why}`;
      if (told.get(tenant) === key) continue;
      told.set(tenant, key);
      const problem: Problem = {
        code: 'state_unwritable',
        message: why.slice(0, 2000),
        step: 'keep the desired state on disk',
        service: null,
        logTail: [],
        at: clock.now(),
      };
      const { generation } = wanted;
      const { live } = statusOf(tenant);
      reports.tenant({
        tenant,
        generation,
        live,
        phase: 'blocked',
        at: clock.now(),
        steps: [],
        problem,
        retryAt: null,
        containers: [],
      });
      voice.happened(tenant, { kind: 'tenant.blocked', generation, message: problem.message, problem });
    }
  };
}
