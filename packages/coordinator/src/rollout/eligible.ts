import { isOver, type SkipReason } from '@berth/shared/domain/rollout';
import { isOpenAt } from '@berth/shared/domain/window';
import { failuresOf } from './counts.ts';
import type { Decision, Facts, Rollout, RolloutTenant, TenantFact } from './types.ts';

/** Why a tenant cannot be moved now; null when it can. */
export function skipReason(
  rollout: Rollout,
  row: RolloutTenant,
  fact: TenantFact | null,
  now: number,
): SkipReason | null {
  if (fact === null || fact.state === 'removing') return 'removed';
  if (fact.release === rollout.to) return 'current';
  if (fact.release !== row.fromRelease) return 'changed';
  if (fact.pinned !== null) return 'pinned';
  if (fact.state === 'paused') return 'paused';
  if (fact.window !== null && !isOpenAt(fact.window, now)) return 'window';
  return fact.connection === 'offline' ? 'offline' : null;
}

/** Skips that nothing ends, or that only an operator ends: no rollout waits for them. */
const NOT_AWAITED: ReadonlySet<SkipReason> = new Set(['removed', 'changed', 'current', 'pinned', 'paused']);

/** Whether the rollout still has something to do, or to wait for, with this tenant. */
export function isOpen({ progress }: RolloutTenant): boolean {
  switch (progress.kind) {
    case 'pending':
    case 'moving':
    case 'live':
    case 'returning':
      return true;
    case 'skipped':
      return !NOT_AWAITED.has(progress.reason);
    case 'moved':
    case 'failed':
    case 'returned':
    case 'stuck':
      return false;
  }
}

/**
 * How many tenants may be on their way and not serve yet. A release that fails everywhere thus hurts at most one tenant
 * more than the budget; with each one that serves the rollout trusts it with one more.
 */
export function mayMove(rollout: Rollout): number {
  const served = rollout.tenants.filter(
    ({ progress }) => progress.kind === 'live' || progress.kind === 'moved',
  ).length;
  const left = rollout.policy.maxFailures + 1 - (failuresOf(rollout) - rollout.forgiven);
  return left <= 0 ? 0 : Math.min(rollout.policy.atOnce, left + served);
}

/** Tenants that had been begun when their host went away, or that are tried again: they are on their way again. */
export function comeBack(rollout: Rollout, facts: Facts, now: number): Decision[] {
  return rollout.tenants.flatMap((row): Decision[] => {
    if (row.progress.kind !== 'skipped' && row.progress.kind !== 'pending') return [];
    const fact = facts.tenant(row.tenant);
    if (fact === null || fact.connection === 'offline' || !wasBegun(rollout, row, fact)) return [];
    const progress = { kind: 'moving', generation: fact.generation, since: now } as const;
    return [{ kind: 'progress', tenant: row.tenant, progress }];
  });
}

/** The tenants of the waves so far that begin now, in their order, and the changed reasons of those that cannot. */
export function begins(rollout: Rollout, facts: Facts, now: number): Decision[] {
  if (isOver(rollout.state)) return [];
  const decisions: Decision[] = [];
  const underWay = new Map<string, number>();
  let moving = 0;
  for (const { tenant, progress } of rollout.tenants) {
    if (progress.kind !== 'moving' && progress.kind !== 'returning') continue;
    const fact = facts.tenant(tenant);
    if (fact === null || fact.connection === 'offline') continue;
    underWay.set(fact.host, (underWay.get(fact.host) ?? 0) + 1);
    if (progress.kind === 'moving') moving += 1;
  }
  let room = facts.frozen === null ? mayMove(rollout) - moving : 0;
  for (const row of rollout.tenants) {
    if (row.wave > rollout.wave) break;
    if (row.progress.kind !== 'pending' && row.progress.kind !== 'skipped') continue;
    if (row.progress.kind === 'skipped' && FINAL.has(row.progress.reason)) continue;
    if (!isBegun(rollout, row.wave)) continue;
    const fact = facts.tenant(row.tenant);
    if (fact !== null && wasBegun(rollout, row, fact)) continue;
    const reason = skipReason(rollout, row, fact, now);
    if (reason !== null || fact === null) {
      const known = row.progress.kind === 'skipped' ? row.progress.reason : null;
      if (known !== reason)
        decisions.push({
          kind: 'progress',
          tenant: row.tenant,
          progress: { kind: 'skipped', reason: reason ?? 'removed' },
        });
      continue;
    }
    const here = underWay.get(fact.host) ?? 0;
    if (room > 0 && here < rollout.policy.perHost) {
      decisions.push({ kind: 'begin', tenant: row.tenant });
      underWay.set(fact.host, here + 1);
      room -= 1;
    } else if (row.progress.kind === 'skipped') {
      decisions.push({ kind: 'progress', tenant: row.tenant, progress: { kind: 'pending' } });
    }
  }
  return decisions;
}

/**
 * What is desired of it is the new release already, and it does not serve it yet: its host went away when it had been
 * begun, or somebody has it tried again.
 */
function wasBegun(rollout: Rollout, { progress }: RolloutTenant, fact: TenantFact): boolean {
  if (fact.release !== rollout.to || fact.state !== 'running') return false;
  if (progress.kind === 'skipped') return progress.reason === 'offline';
  return progress.kind === 'pending' && fact.reported?.live !== fact.generation;
}

/**
 * The release of this rollout is what is desired of it, though it is not on its way for us: its host went away when it had
 * been begun, or it failed and stays.
 */
export function isLeftOn(rollout: Rollout, { progress }: RolloutTenant, fact: TenantFact): boolean {
  if (fact.release !== rollout.to || fact.state === 'removing') return false;
  if (progress.kind === 'skipped') return progress.reason === 'offline';
  return progress.kind === 'failed' && progress.stays !== null && progress.generation === fact.generation;
}

/** Once it is somebody else's, gone, or there already, it stays so. */
const FINAL: ReadonlySet<SkipReason> = new Set(['removed', 'changed', 'current']);

function isBegun(rollout: Rollout, wave: number): boolean {
  const state = rollout.waves[wave]?.kind;
  return state === 'moving' || state === 'baking' || state === 'passed';
}
