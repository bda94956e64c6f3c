import { releaseKeyOf, type DesiredTenant } from '@berth/shared/domain/desired';
import type { ObservedContainer } from '@berth/shared/domain/observed';
import type { Released, TenantStatus } from '@berth/shared/domain/status';
import { put } from './released.ts';

/**
 * What containers tell of a tenant's release commands where its status was lost: each command's own container how it
 * ended, and a colour, which starts only after the command of its release, that it had succeeded.
 */
export function releasesOf(desired: DesiredTenant, containers: readonly ObservedContainer[]): Released[] {
  const found = new Map<string, Released>();
  const inOrder = [...containers].sort((a, b) => a.generation - b.generation);
  for (const each of inOrder) {
    const key = keyOf(each, desired);
    const outcome = outcomeOf(each);
    if (key === null || outcome === null) continue;
    const before = found.get(key);
    if (before !== undefined && RANK[before.outcome] > RANK[outcome]) continue;
    const generation = each.role === 'release' ? each.generation : (before?.generation ?? null);
    found.set(key, { key, outcome, generation, runs: each.state === 'created' ? 0 : 1 });
  }
  return [...found.values()];
}

/** What one container tells is less than what another does. */
const RANK = { failed: 0, unknown: 1, running: 2, succeeded: 3 } as const;

/** Older agents did not write it down. */
function keyOf(container: ObservedContainer, desired: DesiredTenant): string | null {
  if (container.releaseKey !== undefined) return container.releaseKey;
  const same = container.app === desired.app && container.release === desired.release;
  return same ? releaseKeyOf(desired) : null;
}

function outcomeOf({ role, state, exitCode }: ObservedContainer): Released['outcome'] | null {
  if (role === 'colour') return state === 'created' ? null : 'succeeded';
  if (role !== 'release') return null;
  if (state === 'created') return 'failed'; // it was never started, so it may be
  if (state === 'removing') return 'unknown';
  if (state !== 'exited' && state !== 'dead') return 'running';
  return exitCode === null ? 'unknown' : exitCode === 0 ? 'succeeded' : 'failed';
}

/** Up to which release nobody remembers what ran, when all that is left is this. */
export function forgottenUpTo(desired: DesiredTenant, containers: readonly ObservedContainer[]): number {
  return Math.max(desired.release, ...containers.map((each) => each.release));
}

/** A command that may have run in the time that was forgotten: nobody knows, so it is not run by itself. */
export function doubt(status: TenantStatus, desired: DesiredTenant): TenantStatus {
  const { forgotten } = status;
  if (forgotten === undefined || desired.release > forgotten) return status;
  const key = releaseKeyOf(desired);
  if (key === null || status.released.some((each) => each.key === key)) return status;
  // A word that was given before the loss was about a run that is forgotten too.
  const [about, run = '1'] = desired.decision?.key.split('.') ?? [];
  const runs = about === key ? Number(run) + 1 : 1;
  return put(status, { key, outcome: 'unknown', generation: null, runs });
}
