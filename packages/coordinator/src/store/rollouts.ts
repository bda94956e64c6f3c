import { CompiledQuery, type Kysely } from 'kysely';
import { DesiredTenant } from '@berth/shared/domain/desired';
import { RolloutPolicy, RolloutState, TenantProgress } from '@berth/shared/domain/rollout';
import { Traffic } from '@berth/shared/domain/traffic';
import type { RolloutReads, RolloutRecord, RolloutTenant, RolloutWrites } from '../services/rollout-store.ts';
import { batchStatement } from './batch.ts';
import type { Dialect } from './dialect.ts';
import { rolloutActs, waveStates } from './json.ts';
import { inScope } from './scope.ts';
import type { RolloutTable, RolloutTenantTable, Tables } from './tables.ts';

type Db = Kysely<Tables>;

const rolloutOf = (row: RolloutTable): RolloutRecord => ({
  rollout: row.rollout,
  app: row.app,
  to: row.to_release,
  policy: RolloutPolicy.parse(JSON.parse(row.policy)),
  state: RolloutState.parse(JSON.parse(row.state_json)),
  wave: row.wave,
  waves: waveStates(row.waves),
  forgiven: row.forgiven,
  reversal: row.reversal,
  startedBy: row.started_by,
  createdAt: row.created_at,
  updatedAt: row.updated_at,
  endedAt: row.ended_at,
  acts: rolloutActs(row.acts),
  afterEvent: row.after_event,
});

/** What of a rollout changes while it goes on. */
const changingOf = (record: Omit<RolloutRecord, 'rollout'>) => ({
  state: record.state.kind,
  state_json: JSON.stringify(record.state),
  wave: record.wave,
  waves: JSON.stringify(record.waves),
  forgiven: record.forgiven,
  updated_at: record.updatedAt,
  ended_at: record.endedAt,
  acts: JSON.stringify(record.acts),
});

type TenantRow = Omit<RolloutTenantTable, 'rollout'>;

const tenantOf = (row: TenantRow): RolloutTenant => ({
  tenant: row.tenant,
  wave: row.wave,
  position: row.position,
  fromRelease: row.from_release,
  fromGeneration: row.from_generation,
  progress: TenantProgress.parse(JSON.parse(row.progress)),
  before: row.before === null ? null : Traffic.parse(JSON.parse(row.before)),
});

const trafficText = (traffic: Traffic | null): string | null =>
  traffic === null ? null : JSON.stringify(traffic);

const OVER = ['completed', 'rolled-back', 'aborted'] as const satisfies RolloutState['kind'][];

type Reads = 'rollout' | 'rollouts' | 'openRollouts' | 'rolloutTenants' | 'desiredBefore';
type Writes = 'insertRollout' | 'updateRollout' | 'updateRolloutTenants' | 'setDesiredBefore';

export interface RolloutRecords {
  reads(db: Db): Pick<RolloutReads, Reads>;
  writes(db: Db): Pick<RolloutWrites, Writes>;
}

/** Rollouts and their tenants. Made once a store: its statements over many tenants are prepared once. */
export function createRolloutRecords(dialect: Dialect): RolloutRecords {
  const insertTenants = batchStatement(
    dialect,
    ['bigint', 'text', 'bigint', 'bigint', 'bigint', 'bigint', 'text', 'text'],
    `insert into rollout_tenants
       (rollout, tenant, wave, position, from_release, from_generation, progress, before)
     select v.column1, v.column2, v.column3, v.column4, v.column5, v.column6, v.column7, v.column8 from`,
    '',
  );
  const updateTenants = batchStatement(
    dialect,
    ['bigint', 'text', 'text', 'text'],
    'update rollout_tenants set progress = v.column3, before = v.column4 from',
    'where rollout_tenants.rollout = v.column1 and rollout_tenants.tenant = v.column2',
  );
  const setBefore = batchStatement(
    dialect,
    ['bigint', 'text', 'text'],
    'insert into rollout_before (rollout, tenant, json) select v.column1, v.column2, v.column3 from',
    `join rollout_tenants r on r.rollout = v.column1 and r.tenant = v.column2
     where true on conflict (rollout, tenant) do update set json = excluded.json`,
  );
  const readTenants = `select tenant, wave, position, from_release, from_generation, progress, before
    from rollout_tenants where rollout = ${dialect.placeholder(0)} order by wave, position, tenant`;

  return {
    reads: (db) => ({
      async rollout(rollout) {
        const row = await db
          .selectFrom('rollouts')
          .selectAll()
          .where('rollout', '=', rollout)
          .$if(db.isTransaction, (query) => query.modifyEnd(dialect.forUpdate))
          .executeTakeFirst();
        return row === undefined ? null : rolloutOf(row);
      },
      async rollouts({ app, scope }, before, limit) {
        let query = db.selectFrom('rollouts').selectAll().orderBy('rollout', 'desc').limit(limit);
        const visible = inScope(scope, { app: 'rollouts.app' });
        if (visible !== null) query = query.where(visible);
        if (app !== undefined) query = query.where('app', '=', app);
        if (before !== undefined) query = query.where('rollout', '<', before);
        return (await query.execute()).map(rolloutOf);
      },
      async openRollouts() {
        const rows = await db
          .selectFrom('rollouts')
          .selectAll()
          .where('state', 'not in', OVER)
          .orderBy('rollout')
          .execute();
        return rows.map(rolloutOf);
      },
      async rolloutTenants(rollout) {
        const { rows } = await db.executeQuery<TenantRow>(CompiledQuery.raw(readTenants, [rollout]));
        return rows.map(tenantOf);
      },
      async desiredBefore(rollout, tenant) {
        const row = await db
          .selectFrom('rollout_before')
          .select('json')
          .where('rollout', '=', rollout)
          .where('tenant', '=', tenant)
          .executeTakeFirst();
        return row === undefined ? null : DesiredTenant.parse(JSON.parse(row.json));
      },
    }),

    writes: (db) => ({
      async insertRollout(record, tenants) {
        const { last } = await db
          .selectFrom('rollouts')
          .select((eb) => eb.fn.max<number | null>('rollout').as('last'))
          .executeTakeFirstOrThrow();
        // Two at the same moment take the same number; the later commit is told so by its key and runs again.
        const rollout = (last ?? 0) + 1;
        await db
          .insertInto('rollouts')
          .values({
            rollout,
            app: record.app,
            to_release: record.to,
            policy: JSON.stringify(record.policy),
            reversal: record.reversal,
            started_by: record.startedBy,
            created_at: record.createdAt,
            after_event: record.afterEvent,
            ...changingOf(record),
          })
          .execute();
        await insertTenants(
          db,
          tenants.map((each) => [
            rollout,
            each.tenant,
            each.wave,
            each.position,
            each.fromRelease,
            each.fromGeneration,
            JSON.stringify(each.progress),
            trafficText(each.before),
          ]),
        );
        return rollout;
      },
      async updateRollout(record) {
        await db
          .updateTable('rollouts')
          .set(changingOf(record))
          .where('rollout', '=', record.rollout)
          .execute();
      },
      updateRolloutTenants: (rollout, tenants) =>
        updateTenants(
          db,
          tenants.map((each) => [
            rollout,
            each.tenant,
            JSON.stringify(each.progress),
            trafficText(each.before),
          ]),
        ),
      setDesiredBefore: (rollout, entries) =>
        setBefore(
          db,
          entries.map((entry) => [rollout, entry.tenant, JSON.stringify(entry)]),
        ),
    }),
  };
}
