import { wantedIn, type DesiredState } from '@berth/shared/domain/desired';
import type { TenantStatus } from '@berth/shared/domain/status';
import type { Problem } from '@berth/shared/domain/step';
import type { TenantReport } from '@berth/shared/protocol/report';
import type { Clock, Reports } from './ports.ts';
import type { Voice } from './voice.ts';

export interface RefusalDeps {
  clock: Clock;
  reports: Reports;
  voice: Voice;
  statusOf(tenant: string): TenantStatus;
}

/** Tenants whose new state could not be kept on disk. */
export interface Refusals {
  /** Nothing of it has begun, what serves goes on, and the coordinator sends it again. Each generation is told once. */
  refuse(refused: DesiredState, changed: readonly string[], why: string): void;
  /** A report of what serves, with what could not be kept beside it. */
  over(report: TenantReport): TenantReport;
  /** A newer state was kept, so the disk can be written again. */
  forget(): void;
}

export function createRefusals({ clock, reports, voice, statusOf }: RefusalDeps): Refusals {
  const told = new Map<string, { key: string; generation: number; problem: Problem }>();

  function refuse(refused: DesiredState, changed: readonly string[], why: string): void {
    for (const tenant of changed) {
      const wanted = wantedIn(refused, tenant);
      if (wanted === undefined) continue;
      const key = `${refused.revision} ${wanted.generation} ${why}`;
      if (told.get(tenant)?.key === key) continue;
      const problem: Problem = {
        code: 'state_unwritable',
        message: why.slice(0, 2000),
        step: 'keep the desired state on disk',
        service: null,
        logTail: [],
        at: clock.now(),
      };
      const { generation } = wanted;
      told.set(tenant, { key, generation, problem });
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
  }

  return {
    refuse,
    over(report) {
      const refusal = told.get(report.tenant);
      if (refusal === undefined) return report;
      return { ...report, generation: refusal.generation, phase: 'blocked', problem: refusal.problem };
    },
    forget: () => told.clear(),
  };
}
