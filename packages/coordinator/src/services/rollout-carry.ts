import type { BerthError } from '@berth/shared/domain/errors';
import { isOver, type TenantProgress } from '@berth/shared/domain/rollout';
import type { Traffic } from '@berth/shared/domain/traffic';
import { fold } from '../rollout/fold.ts';
import type { Decision, Rollout, RolloutTenant, TenantFact } from '../rollout/types.ts';
import { actsAfter, type Done } from './rollout-acts.ts';
import { rolloutEvents } from './rollout-events.ts';
import { beginTenants, returnTenants, type Moves, type Return, type Told } from './rollout-moves.ts';
import type { RolloutRecord } from './rollout-store.ts';
import type { StoreWrites } from './store.ts';
import type { TemplateCache } from './templates.ts';

/** A rollout as it is on record: its row, and all of it as the rules see it. */
export interface Kept {
  record: RolloutRecord;
  rollout: Rollout;
}

export interface CarryGiven extends Kept {
  tx: StoreWrites;
  cache: TemplateCache;
  decisions: readonly Decision[];
  now: number;
  fact(tenant: string): TenantFact | null;
  /** A tenant's row in a version of this rollout. */
  rowIn(rollout: Rollout, tenant: string): RolloutTenant | undefined;
  /** A tenant's requests in the day before now. */
  before(tenant: string): Traffic | null;
  cpuOvercommit?: number | undefined;
  /** Who made these decisions, where somebody did. */
  done?: Done | undefined;
  withoutDatabase?: ReadonlyMap<string, BerthError> | undefined;
}

export interface Carried extends Kept {
  told: ReadonlyMap<string, Told>;
  /** Tenants that were not as the facts say; nothing was done to them. */
  stale: readonly string[];
}

/** Carries decisions out within a transaction: desired state, rows, history, events. The caller writes the audit. */
export async function carryOut(given: CarryGiven): Promise<Carried> {
  const { tx, record, rollout, decisions, now } = given;
  const begins: string[] = [];
  const returns: Return[] = [];
  const restores: Return[] = [];
  for (const decision of decisions) {
    if (decision.kind === 'begin') begins.push(decision.tenant);
    if (decision.kind === 'return')
      returns.push({ tenant: decision.tenant, because: { why: decision.why, cause: decision.cause } });
    if (decision.kind === 'restore') restores.push({ tenant: decision.tenant, because: null });
  }
  const rowBefore = (tenant: string): RolloutTenant | undefined => given.rowIn(rollout, tenant);
  const begun = begins.length === 0 ? NOTHING : await beginTenants({ ...given, row: rowBefore }, begins);
  const gone = [...returns, ...restores];
  const returned = gone.length === 0 ? NOTHING : await returnTenants({ ...given, row: justDecided }, gone);
  const moved = new Map([...begun.progress, ...returned.progress]);
  const told = new Map([...begun.told, ...returned.told]);
  const after = fold(rollout, decisions, {
    progress: (tenant) => moved.get(tenant) ?? null,
    before: given.before,
  });
  const changed = changedNames(decisions).flatMap((tenant) => given.rowIn(after, tenant) ?? []);
  await tx.updateRolloutTenants(rollout.rollout, changed);
  const acts = actsAfter(record.acts, rollout, decisions, given.done ?? null, now);
  const kept = { ...recordOf(record, after, now), acts };
  await tx.updateRollout(kept);
  await endHistories(given, changed);
  // All waves have passed: what is still waited for hinders nobody from beginning with the new release.
  const { kind } = after.state;
  if (kind !== rollout.state.kind && (kind === 'completed' || kind === 'waiting'))
    await tx.setCurrent(rollout.app, rollout.to);
  await tx.addEvents(rolloutEvents(given, after, changed, told));
  const stale = [...begins, ...gone.map((each) => each.tenant)].filter(
    (tenant) => !told.has(tenant) && !moved.has(tenant),
  );
  return { record: kept, rollout: after, told, stale };

  /** A tenant that has just failed goes back from the generation that failed. */
  function justDecided(tenant: string): RolloutTenant | undefined {
    const row = rowBefore(tenant);
    const decided = decisions.findLast((each) => each.kind === 'progress' && each.tenant === tenant);
    return row === undefined || decided?.kind !== 'progress' ? row : { ...row, progress: decided.progress };
  }
}

const NOTHING: Moves = { progress: new Map(), told: new Map() };

/** The row as it is after a change of the rollout. Times of changes rise, so that they tell one version from another. */
export function recordOf(before: RolloutRecord, rollout: Rollout, now: number): RolloutRecord {
  const { state, wave, waves, forgiven } = rollout;
  return {
    ...before,
    state,
    wave,
    waves,
    forgiven,
    updatedAt: Math.max(now, before.updatedAt + 1),
    endedAt: isOver(state) ? (before.endedAt ?? now) : null,
  };
}

export function rolloutOf(record: RolloutRecord, tenants: readonly RolloutTenant[]): Rollout {
  const { rollout, app, to, policy, state, wave, waves, forgiven, reversal } = record;
  return { rollout, app, to, policy, state, wave, waves, forgiven, reversal, tenants };
}

function changedNames(decisions: readonly Decision[]): string[] {
  const names = decisions.flatMap((each) =>
    each.kind === 'begin' || each.kind === 'return' || each.kind === 'progress' ? [each.tenant] : [],
  );
  return [...new Set(names)];
}

/** How long it took, and what failed, where it ended now. */
async function endHistories(given: CarryGiven, changed: readonly RolloutTenant[]): Promise<void> {
  const ends: { tenant: string; generation: number; ms: number | null; failed: string | null }[] = [];
  for (const { tenant, progress } of changed) {
    const before: TenantProgress | undefined = given.rowIn(given.rollout, tenant)?.progress;
    if (progress.kind === 'live' && before?.kind === 'moving')
      ends.push({
        tenant,
        generation: progress.generation,
        ms: progress.since - before.since,
        failed: null,
      });
    if (progress.kind === 'failed' && progress.generation !== null)
      ends.push({ tenant, generation: progress.generation, ms: null, failed: progress.problem.message });
    if (progress.kind === 'returned' && before?.kind === 'returning')
      ends.push({
        tenant,
        generation: progress.generation,
        ms: progress.at - before.since,
        failed: null,
      });
  }
  await given.tx.endHistories(ends);
}
