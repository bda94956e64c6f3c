import type { CoordinatorStatus } from '@berth/shared/api/schemas';
import type { z } from 'zod';
import type { ServiceContext } from './context.ts';
import type { Actor } from './records.ts';

type StatusAnswer = z.infer<typeof CoordinatorStatus>;

export interface Status {
  show(): Promise<StatusAnswer>;
  /** Leaves observe-only mode. When it is not in that mode nothing changes. */
  confirmEpoch(by: Actor): Promise<StatusAnswer>;
}

export function createStatus(
  { store, fleet, clock }: ServiceContext,
  about: { version: string; startedAt: number },
): Status {
  async function show(): Promise<StatusAnswer> {
    const epoch = await store.epoch();
    return {
      version: about.version,
      epoch: epoch.epoch,
      mode: epoch.mode,
      modeReason: epoch.reason,
      store: store.kind,
      startedAt: about.startedAt,
      ...(await store.totals()),
      tenants: await store.tenantCounts(),
      lastEvent: await store.lastEvent(),
    };
  }
  return {
    show,
    async confirmEpoch(by) {
      const at = clock.now();
      const changed = await store.mutate<boolean>(by, at, async (tx) => {
        const before = await tx.epoch();
        if (before.mode === 'apply') return { result: false, audit: null };
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
            after: { ...before, mode: 'apply', reason: null },
          },
        };
      });
      if (changed) fleet.modeChanged();
      return await show();
    },
  };
}
