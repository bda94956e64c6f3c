import type { DesiredTenant } from '@berth/shared/domain/desired';
import type { ObservedContainer } from '@berth/shared/domain/observed';
import type { TenantStatus } from '@berth/shared/domain/status';
import type { Problem } from '@berth/shared/domain/step';
import type { ContainerView, StepView, TenantPhase, TenantReport } from '@berth/shared/protocol/report';
import type { TenantPlan } from '../plan/input.ts';

export interface Situation {
  desired: DesiredTenant;
  status: TenantStatus;
  plan: TenantPlan | null;
  /** Steps of the lane that runs, or of the last one. */
  steps: readonly StepView[];
  lane: 'running' | 'idle';
  containers: readonly ObservedContainer[];
  /** What is wrong beside the status: housekeeping that failed, a serving container that crashes. */
  trouble: { problem: Problem; retryAt: number | null } | null;
}

/** What the coordinator is told of one tenant. */
export function reportOf(situation: Situation, at: number): TenantReport {
  const { desired, status, trouble } = situation;
  const failure = status.failure?.generation === desired.generation ? status.failure : null;
  const returning = status.move.kind === 'returning' ? status.move.why : null;
  const stayed = hasStayed(situation) ? failure : null;
  return {
    tenant: desired.tenant,
    generation: desired.generation,
    live: status.live,
    phase: phaseOf(situation),
    at,
    steps: situation.steps.slice(0, 60).map((step) => ({ ...step })),
    problem: stayed?.problem ?? trouble?.problem ?? returning ?? failure?.problem ?? null,
    retryAt: trouble?.retryAt ?? failure?.retryAt ?? null,
    containers: situation.containers.slice(0, 200).map(containerView),
  };
}

/** It failed after the switch and must not be left: it serves as well as it can. */
function hasStayed({ desired, status }: Situation): boolean {
  return status.live === desired.generation && status.failure?.generation === desired.generation;
}

export function phaseOf(situation: Situation): TenantPhase {
  const { desired, status, plan, lane, trouble } = situation;
  const busy = lane === 'running' || (plan !== null && plan.steps.length > 0);
  if (status.move.kind === 'returning') return 'returning';
  if (desired.state === 'paused') return busy ? 'moving' : trouble === null ? 'paused' : 'blocked';
  if (hasStayed(situation)) return 'failed';
  if (status.move.kind === 'baking' && status.live === desired.generation)
    return trouble === null ? 'baking' : 'failed';
  if (trouble !== null) return status.live === desired.generation ? 'failed' : 'blocked';
  if (status.live === desired.generation) return lane === 'running' ? 'moving' : 'settled';
  const failure = status.failure?.generation === desired.generation ? status.failure : null;
  if (status.move.kind !== 'idle') return 'moving';
  if (failure !== null) return GIVEN_UP.has(failure.problem.code) ? 'failed' : 'blocked';
  return busy ? 'moving' : 'waiting';
}

/** Faults of the generation itself; anything else is the host's or the registry's and may pass. */
const GIVEN_UP: ReadonlySet<Problem['code']> = new Set([
  'container_failed',
  'health_failed',
  'release_command_failed',
  'verify_failed',
  'route_failed',
  'crash_loop',
  'conflict',
  'internal',
]);

function containerView(container: ObservedContainer): ContainerView {
  const { id, name, service, replica, generation, role, state, health, address } = container;
  return { id, name, service, replica, generation, role, state, health, address };
}
