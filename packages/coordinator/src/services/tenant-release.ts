import type { RolloutAction, TenantHistoryEntry, TenantHistoryShown } from '@berth/shared/api/rollouts';
import type {
  ReleaseDecision,
  Tenant,
  TenantChanged,
  TenantRolloutSettings,
} from '@berth/shared/api/schemas';
import type { DesiredTenant } from '@berth/shared/domain/desired';
import { BerthError } from '@berth/shared/domain/errors';
import { whoText } from '@berth/shared/domain/actor';
import { previousRelease } from '@berth/shared/api/previous-release';
import type { z } from 'zod';
import type { ServiceContext } from './context.ts';
import type { DatabaseLook } from './database-look.ts';
import type { Actor, TenantRecord } from './records.ts';
import { stillHas } from './rollout-moves.ts';
import { historyShown, isOpenEnded, type Told } from './tenant-history.ts';
import { requireSigned } from './release-sign.ts';
import type { StoreWrites } from './store.ts';
import { audited, mutateWith, put, remember } from './tenant-mutation.ts';
import {
  foundTenant,
  lockChangeable,
  nextGeneration,
  renderRecord,
  tenantEvent,
  withNeed,
  withWord,
} from './tenant-state.ts';
import type { TemplateCache } from './templates.ts';
import { tenantShown } from './views.ts';

/** A tenant's releases: how rollouts treat it, its way back, and what is known of it. */
export interface TenantReleases {
  /** Tags, pin and maintenance window. */
  settings(by: Actor, tenant: string, given: z.output<typeof TenantRolloutSettings>): Promise<Tenant>;
  /** Back to the release before. Errors: `conflict` when there is none, or an irreversible command is in the way. */
  rollback(by: Actor, tenant: string, given: z.output<typeof RolloutAction>): Promise<TenantChanged>;
  /** An operator's word on a release command of unknown outcome. Errors: `conflict` when nothing is asked. */
  decide(by: Actor, tenant: string, given: z.output<typeof ReleaseDecision>): Promise<TenantChanged>;
  /** Newest first. */
  history(tenant: string, limit: number): Promise<TenantHistoryShown[]>;
}

/** More changes of release than anybody goes back through. */
const HISTORY = 1_000;
const MOST_TAGS = 20;

export function createTenantReleases(context: ServiceContext, cache: TemplateCache): TenantReleases {
  const { store, clock } = context;
  const mutate = mutateWith(context);

  return {
    async settings(by, tenant, { addTags, removeTags, pinned, window }) {
      const at = clock.now();
      await store.mutate(by, at, async (tx) => {
        const before = await lockChangeable(tx, tenant);
        const tags = [...new Set([...before.tags, ...addTags])]
          .filter((tag) => !removeTags.includes(tag))
          .sort();
        if (tags.length > MOST_TAGS)
          throw new BerthError(
            'invalid_request',
            `Tenant ${tenant} would have ${tags.length} tags; ${MOST_TAGS} is the most.`,
            { details: { field: 'addTags' } },
          );
        const now = {
          tags,
          pinned: pinned === undefined ? before.pinned : pinned,
          window: window === undefined ? before.window : window,
        };
        const was = { tags: [...before.tags].sort(), pinned: before.pinned, window: before.window };
        if (JSON.stringify(was) === JSON.stringify(now)) return { result: null, audit: null };
        await tx.setRolloutSettings(tenant, now);
        await tx.addEvents([
          tenantEvent('tenant.changed', before, at, `How rollouts treat tenant ${tenant} was changed.`),
        ]);
        return {
          result: null,
          audit: { action: 'tenant.settings', subject: tenant, before: was, after: now },
        };
      });
      return tenantShown(foundTenant(await store.tenantView(tenant), tenant));
    },

    rollback: (by, tenant, { reason, pastIrreversible }) =>
      mutate(by, async (tx, at, look) => {
        const before = await lockChangeable(tx, tenant);
        const history = await tx.tenantHistory(tenant, HISTORY);
        const release = previousRelease(history, before.release);
        if (release === null)
          throw new BerthError(
            'conflict',
            `Tenant ${tenant} has no release before ${before.release} to go back to; see "berth tenant history ${tenant}". Another release is set with "berth tenant set ${tenant} --release N".`,
          );
        const present = await tx.desiredTenant(before.host, tenant);
        if (present?.spec.release?.irreversible === true && pastIrreversible !== true)
          throw new BerthError(
            'conflict',
            `The release command of release ${before.release} is marked irreversible: data may be of a shape that release ${release} cannot read. Add --past-irreversible if you are sure.`,
          );
        const entry =
          (await keptEntry(tx, before, release, history)) ??
          (await renderAnew(tx, look, { ...before, release, updatedAt: at }));
        const record = withNeed({ ...before, release, generation: entry.generation, updatedAt: at }, entry);
        const words = `Back from release ${before.release} to ${release}${reason === undefined ? '.' : `: ${reason}`}`;
        await remember(tx, by, record, at, 'rolled-back', words);
        return await put(
          tx,
          before,
          record,
          entry,
          'tenant.rolled-back',
          at,
          `Tenant ${tenant} is to go back to release ${release} as generation ${record.generation}.`,
        );
      }),

    decide: (by, tenant, { choice }) =>
      mutate(by, async (tx, at) => {
        const record = await lockChangeable(tx, tenant);
        const present = await tx.desiredTenant(record.host, tenant);
        const report = await tx.tenantReport(tenant);
        const key = report?.generation === record.generation ? report.problem?.releaseKey : undefined;
        if (present === null || key === undefined)
          throw new BerthError(
            'conflict',
            `Nothing is asked about a release command of tenant ${tenant}; see "berth tenant explain ${tenant}".`,
          );
        const entry: DesiredTenant = { ...present, decision: { key, choice } };
        const revision = await tx.putDesired(record.host, { kind: 'tenant', entry });
        const words = choice === 'succeeded' ? 'has succeeded' : 'is to run again';
        // It has not failed any more: what comes of it is told where the history is read.
        const failed = (await tx.tenantHistory(tenant, HISTORY)).find(
          (each) => each.generation === record.generation,
        );
        if (failed?.what === 'failed')
          await tx.putHistories([
            {
              tenant,
              entry: {
                ...failed,
                at,
                by: by.actor,
                what: 'moved',
                ms: null,
                message: `${whoText(by.actor)} said of its release command that it ${words}.`,
              },
            },
          ]);
        await tx.addEvents([
          tenantEvent(
            'tenant.changed',
            record,
            at,
            `${whoText(by.actor)} says of the release command of tenant ${tenant} that it ${words}.`,
          ),
        ]);
        return {
          record,
          audit: {
            action: 'tenant.release-decided',
            before: null,
            after: { ...audited(record), choice, revision },
            told: revision,
          },
        };
      }),

    async history(tenant, limit) {
      const entries = await store.tenantHistory(tenant, limit);
      if (entries.length === 0) foundTenant(await store.tenant(tenant), tenant);
      if (!isOpenEnded(entries)) return historyShown(entries, null, []);
      const told: Told[] = [];
      for (const kind of ['tenant.live', 'tenant.returned', 'tenant.failed'] as const)
        for (const { generation, at, message } of await store.events({ tenant, kind }, undefined, HISTORY))
          told.push({ kind, generation, at, message });
      return historyShown(entries, await store.tenantView(tenant), told);
    },
  };

  async function renderAnew(
    tx: StoreWrites,
    look: DatabaseLook,
    draft: TenantRecord,
  ): Promise<DesiredTenant> {
    const generation = await nextGeneration(tx, draft);
    const { desired } = await renderRecord(tx, cache, look, { ...draft, generation });
    await requireSigned(tx, draft.host, desired);
    return desired;
  }
}

/** What was desired before a rollout moved the tenant, while its agent still has that generation; else null. */
async function keptEntry(
  tx: StoreWrites,
  record: TenantRecord,
  release: number,
  history: readonly TenantHistoryEntry[],
): Promise<DesiredTenant | null> {
  const made = history.find(
    ({ generation, what }) =>
      generation === record.generation && what !== 'returned' && what !== 'rolled-back',
  );
  const rollout = made?.rollout ?? null;
  if (rollout === null) return null;
  const earlier = await tx.desiredBefore(rollout, record.tenant);
  if (earlier?.release !== release || earlier.generation >= record.generation) return null;
  const [fact] = await tx.tenantFacts([record.tenant]);
  if (!stillHas(fact?.reported ?? null, earlier.generation, record.generation)) return null;
  const state = record.state === 'paused' ? 'paused' : 'running';
  return withWord({ ...earlier, domains: record.domains, state }, record);
}
