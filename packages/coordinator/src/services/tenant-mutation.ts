import type { TenantHistoryEntry } from '@berth/shared/api/rollouts';
import type { TenantChanged } from '@berth/shared/api/schemas';
import type { DesiredTenant } from '@berth/shared/domain/desired';
import type { ServiceContext } from './context.ts';
import { lookForDatabase, type DatabaseLook } from './database-look.ts';
import { createDatabaseProvision } from './database-provision.ts';
import type { Actor, TenantRecord } from './records.ts';
import { requireSealing } from './secret-refs.ts';
import type { StoreWrites } from './store.ts';
import { requireApply, tenantEvent } from './tenant-state.ts';

/** What a mutation of one tenant came to. */
export interface Outcome {
  record: TenantRecord;
  /** Null: nothing changed. `told`: the host's new revision, when its agent must hear of it. */
  audit: { action: string; before: unknown; after: unknown; told: number | undefined } | null;
}

export type Mutate = (
  by: Actor,
  work: (tx: StoreWrites, at: number, look: DatabaseLook) => Promise<Outcome>,
) => Promise<TenantChanged>;

/**
 * Runs a mutation and tells the host's agent after the commit. Where it finds that the tenant's database is not there yet,
 * nothing of it is kept, the database is made, and it runs again: what is refused anyway makes no database.
 */
export function mutateWith(context: ServiceContext): Mutate {
  const provision = createDatabaseProvision(context);
  return async (by, work) => {
    const look = lookForDatabase();
    const changed = await run(context, by, work, look);
    if (look.wanted === null) return changed;
    await provision.ensure(by, look.wanted);
    return await run(context, by, work, { stage: 'made', wanted: null, left: look.left });
  };
}

async function run(
  { store, fleet, clock }: ServiceContext,
  by: Actor,
  work: (tx: StoreWrites, at: number, look: DatabaseLook) => Promise<Outcome>,
  look: DatabaseLook,
): Promise<TenantChanged> {
  const at = clock.now();
  const changed = await store.mutate(by, at, async (tx) => {
    await requireApply(tx);
    const afterEvent = await tx.lastEvent();
    const outcome = await work(tx, at, look);
    const { record } = outcome;
    const audit = look.wanted === null ? outcome.audit : null;
    const result: TenantChanged = {
      tenant: record.tenant,
      generation: record.generation,
      host: record.host,
      afterEvent,
      result: audit?.told === undefined ? 'unchanged' : 'changed',
    };
    return {
      result,
      audit:
        audit === null
          ? null
          : { action: audit.action, subject: record.tenant, before: audit.before, after: audit.after },
    };
  });
  if (changed.result === 'changed') fleet.changed(changed.host);
  return changed;
}

/** Writes a tenant's record and what is desired of it, and says so. */
export async function put(
  tx: StoreWrites,
  before: TenantRecord,
  record: TenantRecord,
  desired: DesiredTenant,
  action: string,
  at: number,
  message: string,
): Promise<Outcome> {
  if (record.generation !== before.generation) await requireSealing(tx, record.host, desired);
  await tx.updateTenant(record);
  const revision = await tx.putDesired(record.host, { kind: 'tenant', entry: desired });
  await tx.addEvents([tenantEvent('tenant.changed', record, at, message)]);
  return {
    record,
    audit: { action, before: audited(before), after: { ...audited(record), revision }, told: revision },
  };
}

/** A new generation that an operator made, for the tenant's history. */
export async function remember(
  tx: StoreWrites,
  by: Actor,
  record: TenantRecord,
  at: number,
  what: TenantHistoryEntry['what'],
  message: string,
): Promise<void> {
  const { tenant, release, generation } = record;
  const entry = { at, by: by.actor, what, release, generation, rollout: null, ms: null, message };
  await tx.putHistories([{ tenant, entry }]);
}

export function audited(record: TenantRecord): Record<string, unknown> {
  const { release, generation, state, host, domains, tenancy, egress } = record;
  return { release, generation, state, host, domains, tenancy, egress };
}
