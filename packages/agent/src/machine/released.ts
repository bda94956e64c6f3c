import { releaseKeyOf, type DesiredTenant } from '@berth/shared/domain/desired';
import type { ObservedContainer } from '@berth/shared/domain/observed';
import { RELEASED_MAX, type Released, type TenantStatus } from '@berth/shared/domain/status';
import type { Step } from '@berth/shared/domain/step';

/** What is written down before a step is executed: that a release command is about to start. */
export function undertake(status: TenantStatus, step: Step): TenantStatus {
  if (step.kind !== 'release.run') return status;
  const before = status.released.find((each) => each.key === step.key);
  // One that runs is waited for, and one of which nobody knows how it ended is not started.
  if (before !== undefined && before.outcome !== 'failed') return status;
  const runs = (before?.runs ?? 0) + 1;
  return put(status, { key: step.key, outcome: 'running', generation: step.generation, runs });
}

/** How a release command ended. */
export function ended(status: TenantStatus, key: string, outcome: Released['outcome']): TenantStatus {
  const before = status.released.find((each) => each.key === key);
  if (before?.outcome === outcome) return status;
  return put(status, { key, generation: before?.generation ?? null, runs: before?.runs ?? 1, outcome });
}

/**
 * What the containers tell of commands that nobody waits for any more: an agent died, or their generation was given up.
 * One that was never started may be run.
 */
export function observeReleases(
  status: TenantStatus,
  containers: readonly ObservedContainer[],
): TenantStatus {
  let next = status;
  for (const entry of status.released) {
    if (entry.outcome !== 'running') continue;
    const container = containers.find(
      (each) => each.role === 'release' && each.generation === entry.generation,
    );
    if (container === undefined) continue;
    if (container.state === 'created')
      next = put(next, { ...entry, outcome: 'failed', runs: Math.max(0, entry.runs - 1) });
    if (container.state !== 'exited' && container.state !== 'dead') continue;
    const { exitCode } = container;
    next = put(next, {
      ...entry,
      outcome: exitCode === null ? 'unknown' : exitCode === 0 ? 'succeeded' : 'failed',
    });
  }
  return next;
}

/** Names one run of a command: an operator's word on it says nothing about a later one. */
export function wordKeyOf(entry: Released): string {
  return entry.runs <= 1 ? entry.key : `${entry.key}.${entry.runs}`;
}

/** An operator's word on a command of which nobody knows how it ended; it counts once. */
export function decided(status: TenantStatus, decision: DesiredTenant['decision']): TenantStatus {
  const entry = status.released.find(
    (each) => each.outcome === 'unknown' && wordKeyOf(each) === decision?.key,
  );
  if (decision === undefined || entry === undefined) return status;
  const outcome = decision.choice === 'succeeded' ? 'succeeded' : 'failed';
  const waits = status.failure?.problem.releaseKey === decision.key;
  return { ...put(status, { ...entry, outcome }), failure: waits ? null : status.failure };
}

/** The release of a generation whose command has succeeded and must not be gone back past; null where one may go back. */
export function irreversibleOf(status: TenantStatus, generation: number): number | null {
  const made = status.known.find((each) => each.generation === generation);
  if (made?.spec.release?.irreversible !== true) return null;
  const key = releaseKeyOf(made);
  const done = status.released.some((each) => each.key === key && each.outcome === 'succeeded');
  return done ? made.release : null;
}

/** The last one written stands last; the oldest are forgotten, but none that runs or waits for an operator. */
export function put(status: TenantStatus, entry: Released): TenantStatus {
  const others = status.released.filter((each) => each.key !== entry.key);
  const surplus = others.length + 1 - RELEASED_MAX;
  const settled = others.filter((each) => each.outcome === 'succeeded' || each.outcome === 'failed');
  const forgotten = new Set(surplus > 0 ? (settled.length > 0 ? settled : others).slice(0, surplus) : []);
  return { ...status, released: [...others.filter((each) => !forgotten.has(each)), entry] };
}
