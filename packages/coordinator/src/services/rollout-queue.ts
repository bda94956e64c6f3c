import { waveMembers } from './rollout-waves.ts';
import { stateEvent } from './rollout-events.ts';
import type { RolloutRecord } from './rollout-store.ts';
import type { Store, StoreWrites } from './store.ts';
import { requireApply } from './tenant-state.ts';

/**
 * A rollout whose turn has come. Its waves are made anew, since tenants have come, gone and moved while it waited. Those
 * of its app that only waited for skipped tenants are complete: whom they did not reach is in this one.
 */
export async function promote(store: Store, queued: RolloutRecord, now: number): Promise<void> {
  await store.mutate({ actor: `rollout:${queued.rollout}`, requestId: '' }, now, async (tx) => {
    await requireApply(tx);
    const record = await tx.rollout(queued.rollout);
    if (record === null || record.state.kind !== 'queued') return { result: null, audit: null };
    await completeWaiting(tx, record.app, now);
    const { rows } = waveMembers(record, record.policy, await tx.tenantFactsOfApp(record.app));
    await tx.replaceRolloutTenants(record.rollout, rows);
    const after: RolloutRecord = {
      ...record,
      state: { kind: 'running' },
      wave: 0,
      waves: record.policy.waves.map(() => ({ kind: 'pending' })),
      updatedAt: Math.max(now, record.updatedAt + 1),
    };
    await tx.updateRollout(after);
    await tx.addEvents([stateEvent(after, after.state, now)]);
    return {
      result: null,
      audit: {
        action: 'rollout.begun',
        subject: String(record.rollout),
        before: { state: record.state },
        after: { state: after.state, tenants: rows.length },
      },
    };
  });
}

/** Ends the app's rollouts that have only skipped tenants left. */
export async function completeWaiting(tx: StoreWrites, app: string, now: number): Promise<void> {
  for (const record of await tx.openRollouts()) {
    if (record.app !== app || record.state.kind !== 'waiting') continue;
    const state = { kind: 'completed' as const };
    await tx.updateRollout({
      ...record,
      state,
      updatedAt: Math.max(now, record.updatedAt + 1),
      endedAt: now,
    });
    await tx.setCurrent(app, record.to);
    await tx.addEvents([stateEvent(record, state, now)]);
  }
}
