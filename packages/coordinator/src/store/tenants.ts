import { newestSecrets } from './secrets.ts';
import { CompiledQuery, sql, type Kysely } from 'kysely';
import { DesiredTenant } from '@berth/shared/domain/desired';
import { egressText } from '@berth/shared/domain/egress';
import { TenantReport } from '@berth/shared/protocol/report';
import type { TenantRecord, TenantView } from '../services/records.ts';
import type { StoreReads, StoreWrites } from '../services/store.ts';
import type { Dialect } from './dialect.ts';
import { egress, phase, problem, routes, texts } from './json.ts';
import { inScope } from './scope.ts';
import type { Tables, TenantTable } from './tables.ts';

type Db = Kysely<Tables>;

export const tenantOf = (row: TenantTable): TenantRecord => ({
  tenant: row.tenant,
  app: row.app,
  release: row.release,
  generation: row.generation,
  state: row.state,
  host: row.host,
  pool: row.pool,
  domains: texts(row.domains),
  routes: routes(row.routes),
  reservedMemory: row.reserved_memory,
  reservedCpus: row.reserved_cpus,
  surgeMemory: row.surge_memory,
  tags: row.tags === '[]' ? [] : texts(row.tags),
  pinned: row.pinned,
  window: row.window,
  tenancy: row.tenancy,
  egress: egress(row.egress),
  createdAt: row.created_at,
  updatedAt: row.updated_at,
});

const rowOf = (tenant: TenantRecord): TenantTable => ({
  tenant: tenant.tenant,
  app: tenant.app,
  release: tenant.release,
  generation: tenant.generation,
  state: tenant.state,
  host: tenant.host,
  pool: tenant.pool,
  domains: JSON.stringify(tenant.domains),
  routes: JSON.stringify(tenant.routes),
  reserved_memory: tenant.reservedMemory,
  reserved_cpus: tenant.reservedCpus,
  surge_memory: tenant.surgeMemory,
  tags: JSON.stringify(tenant.tags),
  pinned: tenant.pinned,
  window: tenant.window,
  tenancy: tenant.tenancy,
  egress: tenant.egress === null ? null : egressText(tenant.egress),
  created_at: tenant.createdAt,
  updated_at: tenant.updatedAt,
});

function viewQuery(db: Db) {
  return db
    .selectFrom('tenants')
    .innerJoin('hosts', 'hosts.host', 'tenants.host')
    .leftJoin('observed', (join) =>
      join.onRef('observed.tenant', '=', 'tenants.tenant').onRef('observed.host', '=', 'tenants.host'),
    )
    .selectAll('tenants')
    .select([
      'hosts.name as host_name',
      'hosts.connection',
      'hosts.ingress_address',
      'hosts.ingress_port',
      'observed.generation as reported_generation',
      'observed.live',
      'observed.phase',
      'observed.problem',
      'observed.at as reported_at',
    ]);
}

type ViewRow = Awaited<ReturnType<ReturnType<typeof viewQuery>['executeTakeFirstOrThrow']>>;

function viewOf(row: ViewRow): TenantView {
  return {
    ...tenantOf(row),
    hostName: row.host_name,
    connection: row.connection,
    ingress:
      row.ingress_address === null || row.ingress_port === null
        ? null
        : { address: row.ingress_address, port: row.ingress_port },
    reported:
      row.reported_generation === null || row.phase === null || row.reported_at === null
        ? null
        : {
            generation: row.reported_generation,
            live: row.live,
            phase: phase(row.phase),
            problem: problem(row.problem),
            at: row.reported_at,
          },
  };
}

const COLUMNS = { app: 'tenants.app', pool: 'tenants.pool', tenant: 'tenants.tenant' };

type TenantReads =
  | 'tenant'
  | 'tenantView'
  | 'tenantViews'
  | 'tenantReport'
  | 'tenantCounts'
  | 'lastGeneration'
  | 'tenantsAhead'
  | 'desiredTenant'
  | 'variables';

export function tenantReads(db: Db): Pick<StoreReads, TenantReads> {
  return {
    async tenant(tenant) {
      const row = await db.selectFrom('tenants').selectAll().where('tenant', '=', tenant).executeTakeFirst();
      return row === undefined ? null : tenantOf(row);
    },
    async tenantView(tenant) {
      const row = await viewQuery(db).where('tenants.tenant', '=', tenant).executeTakeFirst();
      return row === undefined ? null : viewOf(row);
    },
    async tenantViews({ app, host, scope }, { after, limit }) {
      let query = viewQuery(db).orderBy('tenants.tenant').limit(limit);
      const visible = inScope(scope, COLUMNS);
      if (visible !== null) query = query.where(visible);
      if (app !== undefined) query = query.where('tenants.app', '=', app);
      if (host !== undefined) query = query.where('tenants.host', '=', host);
      if (after !== undefined) query = query.where('tenants.tenant', '>', after);
      return (await query.execute()).map(viewOf);
    },
    async tenantReport(tenant) {
      const row = await db
        .selectFrom('observed')
        .innerJoin('tenants', (join) =>
          join.onRef('tenants.tenant', '=', 'observed.tenant').onRef('tenants.host', '=', 'observed.host'),
        )
        .select('observed.json')
        .where('observed.tenant', '=', tenant)
        .executeTakeFirst();
      if (row === undefined) return null;
      const parsed = TenantReport.safeParse(JSON.parse(row.json));
      return parsed.success ? parsed.data : null;
    },
    async tenantCounts(scope) {
      const visible = inScope(scope, COLUMNS);
      const rows = await db
        .selectFrom('tenants')
        .leftJoin('observed', (join) =>
          join
            .onRef('observed.tenant', '=', 'tenants.tenant')
            .onRef('observed.host', '=', 'tenants.host')
            .onRef('observed.generation', '=', 'tenants.generation'),
        )
        .select((eb) => ['tenants.state', 'observed.phase', eb.fn.countAll<number>().as('n')])
        .$if(visible !== null, (query) => (visible === null ? query : query.where(visible)))
        .groupBy(['tenants.state', 'observed.phase'])
        .execute();
      const counts = { total: 0, settled: 0, moving: 0, failed: 0, blocked: 0, paused: 0 };
      for (const row of rows) {
        counts.total += row.n;
        counts[bucketOf(row.state, row.phase)] += row.n;
      }
      return counts;
    },
    async lastGeneration(tenant) {
      const { rows } = await sql<{ known: number | null; told: number | null }>`
        select (select last from generations where tenant = ${tenant}) as known,
          (select o.generation from observed o join tenants t on t.tenant = o.tenant and t.host = o.host
           where o.tenant = ${tenant}) as told`.execute(db);
      const known = rows[0]?.known ?? 0;
      const told = rows[0]?.told ?? 0;
      return told > known + MOST_FORGOTTEN ? known : Math.max(known, told);
    },
    async tenantsAhead() {
      const rows = await db
        .selectFrom('tenants')
        .innerJoin('observed', (join) =>
          join.onRef('observed.tenant', '=', 'tenants.tenant').onRef('observed.host', '=', 'tenants.host'),
        )
        .leftJoin('generations', 'generations.tenant', 'tenants.tenant')
        .select('tenants.tenant')
        // Not the desired one: a tenant may be on its way back to an earlier generation.
        .where('observed.generation', '>', (eb) => eb.fn.coalesce('generations.last', 'tenants.generation'))
        .orderBy('tenants.tenant')
        .execute();
      return rows.map((row) => row.tenant);
    },
    async desiredTenant(host, tenant) {
      const row = await db
        .selectFrom('desired')
        .select(['json'])
        .where('host', '=', host)
        .where('tenant', '=', tenant)
        .where('kind', '=', 'tenant')
        .executeTakeFirst();
      return row === undefined ? null : DesiredTenant.parse(JSON.parse(row.json));
    },
    async variables({ app, pool, tenant }) {
      const rows = await db
        .selectFrom('variables')
        .select(['scope', 'name', 'value'])
        .where((eb) =>
          eb.or([
            eb.and([eb('scope', '=', 'app'), eb('owner', '=', app)]),
            eb.and([eb('scope', '=', 'pool'), eb('owner', '=', pool)]),
            eb.and([eb('scope', '=', 'tenant'), eb('owner', '=', tenant)]),
          ]),
        )
        .orderBy('name')
        .execute();
      return tenant === '' ? rows : [...rows, ...(await newestSecrets(db, tenant))];
    },
  };
}

function bucketOf(
  state: TenantRecord['state'],
  reported: string | null,
): 'settled' | 'moving' | 'failed' | 'blocked' | 'paused' {
  if (state === 'paused') return 'paused';
  if (reported === 'failed' || reported === 'blocked') return reported;
  return reported === 'settled' && state === 'running' ? 'settled' : 'moving';
}

/** A number was given out. It is never given out again, also when the tenant goes back to an earlier one. */
export async function noteGeneration(
  db: Db,
  dialect: Dialect,
  tenant: string,
  generation: number,
): Promise<void> {
  const [name, last] = [dialect.placeholder(0), dialect.placeholder(1)];
  const text = `insert into generations (tenant, last) values (${name}, ${last})
    on conflict (tenant) do update set last = excluded.last where excluded.last > generations.last`;
  await db.executeQuery(CompiledQuery.raw(text, [tenant, generation]));
}

/** More generations than a tenant is likely to have had when its coordinator was restored. */
const GENERATIONS_PER_EPOCH = 1_000;
/** No backup is so old: a host that tells of more generations since is not believed, and wears out no numbers. */
const MOST_FORGOTTEN = 1_000_000;

type TenantWrites =
  'lockTenant' | 'firstGeneration' | 'insertTenant' | 'updateTenant' | 'claimDomains' | 'setVariable';

export function tenantWrites(db: Db, dialect: Dialect): Pick<StoreWrites, TenantWrites> {
  return {
    async lockTenant(tenant) {
      const row = await db
        .selectFrom('tenants')
        .selectAll()
        .where('tenant', '=', tenant)
        .modifyEnd(dialect.forUpdate)
        .executeTakeFirst();
      return row === undefined ? null : tenantOf(row);
    },
    async firstGeneration(tenant) {
      const row = await db
        .selectFrom('generations')
        .select('last')
        .where('tenant', '=', tenant)
        .executeTakeFirst();
      const { epoch } = await db.selectFrom('meta').select('epoch').executeTakeFirstOrThrow();
      return Math.max(row?.last ?? 0, (epoch - 1) * GENERATIONS_PER_EPOCH) + 1;
    },
    async insertTenant(tenant) {
      await db.insertInto('tenants').values(rowOf(tenant)).execute();
      await noteGeneration(db, dialect, tenant.tenant, tenant.generation);
    },
    async updateTenant(tenant) {
      await db.updateTable('tenants').set(rowOf(tenant)).where('tenant', '=', tenant.tenant).execute();
      await noteGeneration(db, dialect, tenant.tenant, tenant.generation);
    },
    async claimDomains(tenant, domains) {
      const taken = await db
        .selectFrom('domains')
        .select('domain')
        .where('domain', 'in', [...domains])
        .where('tenant', '<>', tenant)
        .orderBy('domain')
        .executeTakeFirst();
      if (taken !== undefined) return taken.domain;
      await db.deleteFrom('domains').where('tenant', '=', tenant).execute();
      await db
        .insertInto('domains')
        .values(domains.map((domain) => ({ domain, tenant })))
        .execute();
      return null;
    },
    async setVariable(scope, owner, name, value, at) {
      const before = await db
        .selectFrom('variables')
        .select('value')
        .where('scope', '=', scope)
        .where('owner', '=', owner)
        .where('name', '=', name)
        .executeTakeFirst();
      if ((before?.value ?? null) === value) return false;
      if (value === null) {
        await db
          .deleteFrom('variables')
          .where('scope', '=', scope)
          .where('owner', '=', owner)
          .where('name', '=', name)
          .execute();
      } else {
        await db
          .insertInto('variables')
          .values({ scope, owner, name, value, updated_at: at })
          .onConflict((oc) => oc.columns(['scope', 'owner', 'name']).doUpdateSet({ value, updated_at: at }))
          .execute();
      }
      return true;
    },
  };
}
