import type { CoordinatorStatus } from '@berth/shared/api/schemas';
import type { AccessScope } from '@berth/shared/domain/access';
import type { z } from 'zod';
import type { ServiceContext } from './context.ts';
import type { Actor, NewEvent } from './records.ts';
import type { StoreWrites } from './store.ts';
import { nextGeneration, tenantEvent } from './tenant-state.ts';

type StatusAnswer = z.infer<typeof CoordinatorStatus>;

export interface Status {
  /** With a scope its counts are of what is in it. */
  show(scope?: AccessScope): Promise<StatusAnswer>;
  /**
   * Leaves observe-only mode: what the coordinator knows is what is wanted. Tenants whose hosts have later generations
   * get a new one above them. A single host that is held is released in the same way. Otherwise nothing changes.
   */
  confirmEpoch(by: Actor): Promise<StatusAnswer>;
}

export function createStatus(
  { store, fleet, clock }: ServiceContext,
  about: { version: string; startedAt: number },
): Status {
  async function show(scope?: AccessScope): Promise<StatusAnswer> {
    const epoch = await store.epoch();
    return {
      version: about.version,
      epoch: epoch.epoch,
      mode: epoch.mode,
      modeReason: epoch.reason,
      store: store.kind,
      startedAt: about.startedAt,
      ...(await store.totals(scope)),
      tenants: await store.tenantCounts(scope),
      lastEvent: await store.lastEvent(),
    };
  }
  return {
    show,
    async confirmEpoch(by) {
      const at = clock.now();
      await fleet.gatherHeld();
      const changed = await store.mutate<boolean>(by, at, async (tx) => {
        const before = await tx.epoch();
        if (before.mode === 'apply') return { result: false, audit: null };
        const renewed = await renewForgotten(tx, at);
        await tx.setMode('apply', null);
        await tx.addEvents([
          {
            kind: 'coordinator.epoch',
            at,
            tenant: null,
            app: null,
            host: null,
            generation: null,
            message: `Epoch ${before.epoch} is confirmed; agents apply the desired state again.`,
            details: { epoch: before.epoch, mode: 'apply' },
          },
        ]);
        return {
          result: true,
          audit: {
            action: 'epoch.confirmed',
            subject: 'coordinator',
            before,
            after: { ...before, mode: 'apply', reason: null, renewed },
          },
        };
      });
      if (changed) fleet.modeChanged();
      return await show();
    },
  };
}

/** A number that the host used since the backup means other containers there: it must not be given out again. */
async function renewForgotten(tx: StoreWrites, at: number): Promise<string[]> {
  const ahead = await tx.tenantsAhead();
  const events: NewEvent[] = [];
  for (const tenant of ahead) {
    const before = await tx.lockTenant(tenant);
    const desired = before === null ? null : await tx.desiredTenant(before.host, tenant);
    if (before === null || desired === null) continue;
    const record = { ...before, generation: await nextGeneration(tx, before), updatedAt: at };
    await tx.updateTenant(record);
    await tx.putDesired(record.host, {
      kind: 'tenant',
      entry: { ...desired, generation: record.generation },
    });
    const message = `Tenant ${tenant} goes back to the state of the restored coordinator, as generation ${record.generation}.`;
    events.push(tenantEvent('tenant.changed', record, at, message));
  }
  await tx.addEvents(events);
  return ahead;
}
