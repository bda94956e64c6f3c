import type { DesiredTenant } from '@berth/shared/domain/desired';
import type { ObservedContainer } from '@berth/shared/domain/observed';
import type { Step, StepOf } from '@berth/shared/domain/step';
import { isUp, refsOf } from './containers.ts';
import type { Generation } from './generation.ts';
import type { TenantView } from './view.ts';

/** Containers of release commands of other generations of which nobody has written down how they ended. */
function looseRelease(view: TenantView, target: number): ObservedContainer[] {
  return view.containers.filter((each) => each.generation !== target && isPending(view, each));
}

/** A release command's container that is all that tells how it ended, which is not written down yet. */
export function isPending(view: TenantView, container: ObservedContainer): boolean {
  return (
    container.role === 'release' &&
    view.status.released.some(
      (each) => each.outcome === 'running' && each.generation === container.generation,
    )
  );
}

/**
 * What comes before everything else when there is a release command of which nobody knows how it ended: one of a
 * generation that nobody remembers is stopped, and looked at before it is removed; one that has vanished is told of.
 */
export function untoldSteps(view: TenantView, { desired, release }: Generation): Step[] | null {
  const loose = looseRelease(view, desired.generation).filter(isUp);
  if (loose.length > 0) {
    const why = 'its generation was given up';
    return [{ kind: 'containers.stop', tenant: desired.tenant, containers: refsOf(loose), why }];
  }
  const entry = view.status.released.find((each) => each.key === release?.key);
  if (release === null || entry === undefined) return null;
  const there = view.containers.some((each) => each.name === release.plan.name);
  const untold = entry.outcome === 'unknown' || (entry.outcome === 'running' && !there);
  return untold ? [runStep(desired, release)] : null;
}

/**
 * What a pause, a removal and another generation wait for: release commands that run. They work on the customer's data, so
 * only their own time ends them. One of a generation that nobody remembers cannot be waited for, as nobody knows its time.
 */
export function awaitSteps(
  view: TenantView,
  remembered: (generation: number) => Generation | null,
  before: NonNullable<StepOf<'release.run'>['before']>,
): StepOf<'release.run'>[] {
  return view.containers
    .filter((each) => each.role === 'release' && isUp(each))
    .flatMap((each) => {
      const made = remembered(each.generation);
      if (made === null || made.release?.plan.name !== each.name) return [];
      return [{ ...runStep(made.desired, made.release), before }];
    });
}

/** Runs the release command where it has not succeeded yet. */
export function releaseSteps(view: TenantView, generation: Generation): Step[] {
  const { release, desired } = generation;
  const entry = view.status.released.find((each) => each.key === release?.key);
  if (release === null || entry?.outcome === 'succeeded') return [];
  const of = { tenant: desired.tenant, generation: desired.generation };
  const run = runStep(desired, release);
  // One that is written down as running was created before.
  if (entry?.outcome === 'running') return [run];
  return [{ kind: 'release.create', ...of, container: release.plan }, run];
}

function runStep(desired: DesiredTenant, release: NonNullable<Generation['release']>): StepOf<'release.run'> {
  const { key, plan: container, timeoutMs } = release;
  const { tenant, generation } = desired;
  return { kind: 'release.run', tenant, generation, key, container, timeoutMs };
}
