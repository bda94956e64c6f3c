import type { DesiredTenant } from '@berth/shared/domain/desired';
import { egressText } from '@berth/shared/domain/egress';
import type { Happening } from '../machine/machine.ts';
import type { Problem, Step } from '@berth/shared/domain/step';
import type { StepView, TenantPhase } from '@berth/shared/protocol/report';
import type { TenantPlan } from '../plan/input.ts';
import type { Lane } from './lane.ts';

/** Housekeeping that failed, and when it is tried again. */
export interface Setback {
  problem: Problem;
  attempts: number;
  retryAt: number;
}

/** What the loop keeps of one tenant between two looks at the host; lost on a restart, and no loss. */
export interface Berth {
  lane: Lane | null;
  lastSteps: readonly StepView[];
  plan: TenantPlan | null;
  setback: Setback | null;
  /** What is wrong with the containers that serve, and for which of them its last words were read. */
  complaint: { key: string; problem: Problem } | null;
  /** What the last report was made from; the same again needs no new one. */
  reported: readonly unknown[];
  /** The last report as text, to say nothing twice. */
  said: string;
  phase: TenantPhase | null;
}

export function newBerth(): Berth {
  return {
    lane: null,
    lastSteps: [],
    plan: null,
    setback: null,
    complaint: null,
    reported: [],
    said: '',
    phase: null,
  };
}

/** 1 s, doubling, at most a minute. */
export function setbackAfter(before: Setback | null, problem: Problem, now: number): Setback {
  const attempts = (before?.attempts ?? 0) + 1;
  return { problem, attempts, retryAt: now + Math.min(60_000, 1_000 * 2 ** Math.min(attempts - 1, 8)) };
}

/** What a change of phase tells whoever waits for a tenant, beyond what the steps told. */
export function happeningOf(
  before: TenantPhase | null,
  after: TenantPhase,
  generation: number,
): Happening | null {
  if (after !== 'paused' || before === after || before === null) return null;
  const message = 'Its containers are stopped; visitors see the maintenance page.';
  return { kind: 'tenant.paused', generation, message, problem: null };
}

/** Containers of the live generation were started again: after a pause, or because they had gone. */
export function broughtBack(generation: number | null, before: TenantPhase | null): Happening {
  return before === 'paused'
    ? {
        kind: 'tenant.live',
        generation,
        message: `Generation ${generation ?? ''} serves again.`,
        problem: null,
      }
    : { kind: 'tenant.healed', generation, message: 'What was missing was brought back.', problem: null };
}

/** Work for what was desired before is pointless now. */
export function isOvertaken(before: DesiredTenant | undefined, after: DesiredTenant | undefined): boolean {
  return (
    before?.generation !== after?.generation ||
    before?.state !== after?.state ||
    // A word on where it may connect to holds at once, also in the middle of a move.
    egressText(before?.egress ?? []) !== egressText(after?.egress ?? [])
  );
}

/** The generation that a plan is about. */
export function generationIn({ goal }: TenantPlan): number | null {
  return 'generation' in goal ? goal.generation : null;
}

/** Networks that steps under way are about to make. */
export function networksUnderWay(
  berths: ReadonlyMap<string, Berth>,
): Extract<Step, { kind: 'network.ensure' }>['network'][] {
  return [...berths.values()].flatMap((berth) =>
    (berth.lane?.plan.steps ?? []).flatMap((step) => (step.kind === 'network.ensure' ? [step.network] : [])),
  );
}

/** Tenants whose steps are under way. */
export function busyTenants(berths: ReadonlyMap<string, Berth>): Set<string> {
  return new Set([...berths].flatMap(([tenant, berth]) => (berth.lane === null ? [] : [tenant])));
}
