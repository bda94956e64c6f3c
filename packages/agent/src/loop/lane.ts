import type { DesiredTenant } from '@berth/shared/domain/desired';
import { BerthError, messageOf } from '@berth/shared/domain/errors';
import type { TenantStatus } from '@berth/shared/domain/status';
import { titleOf, type Problem, type Step, type StepOutcome } from '@berth/shared/domain/step';
import type { StepView } from '@berth/shared/protocol/report';
import { advance, begin, type Happening } from '../machine/machine.ts';
import { undertake } from '../machine/released.ts';
import type { TenantPlan } from '../plan/input.ts';
import type { Gate, Urgency } from './gate.ts';
import type { Clock, Execute, Failpoint } from './ports.ts';

/** How a lane ended: `clear` when all its steps went well, `stopped` when it was told to make way. */
export type LaneEnd = { kind: 'clear' } | { kind: 'stopped' } | { kind: 'failed'; problem: Problem };

export interface Lane {
  readonly plan: TenantPlan;
  readonly views: readonly StepView[];
  /** Makes way for a newer plan; the step under way is given up. */
  stop(): void;
  readonly end: Promise<LaneEnd>;
}

export interface LaneDeps {
  clock: Clock;
  execute: Execute;
  gate: Gate;
  failpoint: Failpoint;
  /** The status as it is now, and the only way to change it; resolves when it is on disk. */
  status(): TenantStatus;
  change(status: TenantStatus): Promise<void>;
  happened(happening: Happening): void;
  stepped(step: Step, state: 'started' | 'done' | 'failed', ms: number | null, message: string): void;
  /** A view changed; a report is due. */
  progressed(): void;
}

/** Waiting costs the host nothing, so it takes no place at the gate; nor does a switch, which a tenant waits for. */
const UNGATED: ReadonlySet<Step['kind']> = new Set([
  'drain',
  'route.verify',
  'containers.probe',
  'containers.settle',
  'release.run',
  'route.switch',
]);

/**
 * Docker goes on with these when nobody waits any more. Whoever plans next must not take a container that is about to
 * stop for one that runs, so they are waited for even when something newer is due.
 */
const FINISHED: ReadonlySet<Step['kind']> = new Set(['containers.stop', 'containers.remove']);

/** Behind the last start of a plan nothing but clearing away is left. */
function urgencyOf(steps: readonly Step[], index: number): Urgency {
  const starts = (step: Step | undefined): boolean =>
    step?.kind === 'containers.start' || step?.kind === 'containers.resume';
  const step = steps[index];
  if (starts(step)) return 'start';
  const clears = step?.kind === 'containers.stop' || step?.kind === 'containers.remove';
  return clears && !steps.slice(index).some(starts) ? 'later' : 'now';
}

/** One tenant's steps, in order, until one fails. */
export function startLane(
  plan: TenantPlan,
  desired: DesiredTenant | null,
  deps: LaneDeps,
  parent: AbortSignal,
): Lane {
  const own = new AbortController();
  const signal = AbortSignal.any([parent, own.signal]);
  const views = plan.steps.map(viewOf);
  return {
    plan,
    views,
    stop: () => own.abort(new Error('a newer plan is due')),
    end: run(plan, desired, views, deps, { signal, parent }),
  };
}

export function viewOf(step: Step): StepView {
  return { kind: step.kind, title: titleOf(step).slice(0, 400), state: 'todo', startedAt: null, ms: null };
}

interface Signals {
  /** Aborts when a newer plan is due, and with the parent. */
  signal: AbortSignal;
  /** Aborts when the agent ends. */
  parent: AbortSignal;
}

async function run(
  plan: TenantPlan,
  desired: DesiredTenant | null,
  views: StepView[],
  deps: LaneDeps,
  signals: Signals,
): Promise<LaneEnd> {
  const { signal } = signals;
  try {
    if (plan.goal.kind === 'move' && desired !== null) {
      const begun = begin(deps.status(), desired, deps.clock.now());
      if (begun !== deps.status()) await deps.change(begun);
    }
    for (const [index, step] of plan.steps.entries()) {
      const view = views[index];
      if (view === undefined) continue;
      signal.throwIfAborted();
      const outcome = await runStep(step, urgencyOf(plan.steps, index), view, desired, deps, signals);
      if (outcome.kind === 'failed') return { kind: 'failed', problem: outcome.problem };
    }
    return { kind: 'clear' };
  } catch (thrown) {
    if (signal.aborted) return { kind: 'stopped' };
    return { kind: 'failed', problem: problemOf(thrown, 'save', deps.clock.now()) };
  }
}

async function runStep(
  step: Step,
  urgency: Urgency,
  view: StepView,
  desired: DesiredTenant | null,
  deps: LaneDeps,
  { signal, parent }: Signals,
): Promise<StepOutcome> {
  const { clock, failpoint } = deps;
  const execute = async (): Promise<StepOutcome> => {
    view.state = 'running';
    view.startedAt = clock.now();
    deps.stepped(step, 'started', null, view.title);
    deps.progressed();
    failpoint(`before:${step.kind}`);
    const noted = undertake(deps.status(), step);
    if (noted !== deps.status()) await deps.change(noted);
    failpoint(`noted:${step.kind}`);
    return deps.execute(step, FINISHED.has(step.kind) ? parent : signal);
  };
  view.state = 'waiting';
  const outcome = UNGATED.has(step.kind) ? await execute() : await deps.gate.run(execute, signal, urgency);
  failpoint(`after:${step.kind}`);

  const now = clock.now();
  view.ms = now - (view.startedAt ?? now);
  view.state = outcome.kind === 'ok' ? 'done' : 'failed';
  const words = outcome.kind === 'ok' ? (outcome.note ?? view.title) : outcome.problem.message;
  deps.stepped(step, outcome.kind === 'ok' ? 'done' : 'failed', view.ms, words);

  const before = deps.status();
  const { status, happenings } = advance(before, step, outcome, desired?.spec.bakeMs ?? 0, now);
  if (status !== before) await deps.change(status);
  failpoint(`saved:${step.kind}`);
  for (const each of happenings) deps.happened(each);
  deps.progressed();
  return outcome;
}

export function problemOf(thrown: unknown, step: string, at: number): Problem {
  const code = thrown instanceof BerthError ? thrown.code : 'internal';
  return { code, message: messageOf(thrown).slice(0, 2000), step, service: null, logTail: [], at };
}
