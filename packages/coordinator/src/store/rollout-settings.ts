import type { Kysely } from 'kysely';
import type { TenantHistoryEntry } from '@berth/shared/api/rollouts';
import type { RolloutReads, RolloutWrites } from '../services/rollout-store.ts';
import type { HistoryTable, Tables } from './tables.ts';

type Db = Kysely<Tables>;

/** What rollouts go by of apps and tenants. */
export function settingWrites(
  db: Db,
): Pick<RolloutWrites, 'setFrozen' | 'setCurrent' | 'setRolloutSettings'> {
  return {
    async setFrozen(app, reason) {
      await db.updateTable('apps').set({ frozen: reason }).where('app', '=', app).execute();
    },
    async setCurrent(app, release) {
      await db.updateTable('apps').set({ current: release }).where('app', '=', app).execute();
    },
    async setRolloutSettings(tenant, { tags, pinned, window }) {
      await db
        .updateTable('tenants')
        .set({ tags: JSON.stringify(tags), pinned, window })
        .where('tenant', '=', tenant)
        .execute();
    },
  };
}

const entryOf = (row: Omit<HistoryTable, 'tenant' | 'entry'>): TenantHistoryEntry => ({
  at: row.at,
  by: row.actor,
  what: row.what,
  release: row.release,
  generation: row.generation,
  rollout: row.rollout,
  ms: row.ms,
  message: row.message,
});

export function historyReads(db: Db): Pick<RolloutReads, 'tenantHistory'> {
  return {
    async tenantHistory(tenant, limit) {
      const rows = await db
        .selectFrom('tenant_history')
        .select(['at', 'actor', 'what', 'release', 'generation', 'rollout', 'ms', 'message'])
        .where('tenant', '=', tenant)
        .orderBy('entry', 'desc')
        .limit(limit)
        .execute();
      return rows.map(entryOf);
    },
  };
}
