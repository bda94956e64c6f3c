import { DesiredTenant, entryDigest, toggleDigest } from '@berth/shared/domain/desired';
import { BerthError } from '@berth/shared/domain/errors';
import type { Kysely } from 'kysely';
import { sql } from 'kysely';
import type { BulkReads, BulkWrites, WaveCounts } from '../services/bulk-store.ts';
import type { VariableRecord } from '../services/records.ts';
import { batchStatement, listStatement } from './batch.ts';
import type { Dialect } from './dialect.ts';
import { secretVariable } from './secrets.ts';
import type { Tables, TenantTable } from './tables.ts';
import { tenantOf } from './tenants.ts';

type Db = Kysely<Tables>;

export interface Bulk {
  reads(db: Db): BulkReads;
  writes(db: Db): Omit<BulkWrites, keyof BulkReads>;
}

/** Many tenants at once. Made once a store: its statements are prepared once. */
export function createBulk(dialect: Dialect): Bulk {
  const reads = createReads(dialect);
  return { reads, writes: createWrites(dialect) };
}

const NONE: WaveCounts = {
  failures: 0,
  pending: 0,
  skipped: 0,
  moving: 0,
  live: 0,
  moved: 0,
  failed: 0,
  returning: 0,
  returned: 0,
  stuck: 0,
};

function createReads(dialect: Dialect): (db: Db) => BulkReads {
  const lock = dialect.kind === 'postgres' ? 'for update of t' : '';
  const tenants = (text: string) =>
    listStatement<TenantTable>(
      dialect,
      ['text'],
      (list) =>
        `select t.* from tenants t where t.tenant in (select c0 from ${list}) order by t.tenant ${text}`,
    );
  const read = tenants('');
  const readLocked = tenants(lock);
  const variables = listStatement<{ owner: string; name: string; value: string }>(
    dialect,
    ['text'],
    (list) =>
      `select owner, name, value from variables where scope = 'tenant' and owner in (select c0 from ${list}) order by owner, name`,
  );
  const secrets = listStatement<{
    tenant: string;
    name: string;
    version: number;
    id: string;
    reference: string | null;
  }>(
    dialect,
    ['text'],
    (list) => `
      select s.tenant, s.name, s.version, s.id, s.reference from ${list}
      join tenant_secrets s on s.tenant = list.c0
      where s.version = (select max(n.version) from tenant_secrets n where n.tenant = s.tenant and n.name = s.name)
      order by s.tenant, s.name`,
  );
  const generations = listStatement<{
    tenant: string;
    own: number;
    reported: number | null;
    last: number | null;
  }>(
    dialect,
    ['text'],
    (list) => `
      select t.tenant, t.generation as own, o.generation as reported, g.last as last from ${list}
      join tenants t on t.tenant = list.c0
      left join observed o on o.tenant = t.tenant and o.host = t.host
      left join generations g on g.tenant = t.tenant`,
  );
  const before = listStatement<{ json: string }>(
    dialect,
    ['bigint', 'text'],
    (list) => `
      select b.json from ${list} join rollout_before b on b.rollout = list.c0 and b.tenant = list.c1`,
  );
  return (db) => ({
    async tenantsNamed(names) {
      const rows = await (db.isTransaction ? readLocked : read)(db, [...new Set(names)]);
      return rows.map(tenantOf);
    },
    async variablesOfTenants(names) {
      const found = new Map<string, { name: string; value: string }[]>();
      for (const { owner, name, value } of await variables(db, [...new Set(names)])) {
        const own = found.get(owner);
        if (own === undefined) found.set(owner, [{ name, value }]);
        else own.push({ name, value });
      }
      return found;
    },
    async secretsOfTenants(names) {
      const found = new Map<string, VariableRecord[]>();
      for (const row of await secrets(db, [...new Set(names)]))
        found.set(row.tenant, [...(found.get(row.tenant) ?? []), secretVariable(row)]);
      return found;
    },
    async lastGenerations(names) {
      const rows = await generations(db, [...new Set(names)]);
      return new Map(rows.map((row) => [row.tenant, Math.max(row.own, row.reported ?? 0, row.last ?? 0)]));
    },
    async desiredBeforeOf(rollout, names) {
      const rows = await before(
        db,
        [...new Set(names)].map((name) => [rollout, name]),
      );
      const entries = rows.map(({ json }) => DesiredTenant.parse(JSON.parse(json)));
      return new Map(entries.map((entry) => [entry.tenant, entry]));
    },
    async progressCounts(rollouts) {
      const found = new Map<number, Map<number, WaveCounts>>();
      if (rollouts.length === 0) return found;
      const field = (name: 'kind' | 'cause') =>
        dialect.kind === 'sqlite'
          ? sql<string | null>`progress ->> ${sql.lit(name)}`
          : sql<string | null>`cast(progress as json) ->> ${sql.lit(name)}`;
      const rows = await db
        .selectFrom('rollout_tenants')
        .select((eb) => [
          'rollout',
          'wave',
          field('kind').as('kind'),
          field('cause').as('cause'),
          eb.fn.countAll<number>().as('n'),
        ])
        .where('rollout', 'in', [...rollouts])
        .groupBy(['rollout', 'wave', field('kind'), field('cause')])
        .execute();
      for (const row of rows) {
        const waves = found.get(row.rollout) ?? new Map<number, WaveCounts>();
        found.set(row.rollout, waves);
        const counts = { ...(waves.get(row.wave) ?? NONE) };
        if (row.kind !== null && isCount(row.kind, counts)) counts[row.kind] += row.n;
        if (row.kind === 'failed' || row.cause === 'failure') counts.failures += row.n;
        waves.set(row.wave, counts);
      }
      return found;
    },
  });
}

function createWrites(dialect: Dialect): (db: Db) => Omit<BulkWrites, keyof BulkReads> {
  const move = batchStatement(
    dialect,
    ['text', 'bigint', 'bigint', 'text', 'bigint', 'double precision', 'bigint', 'bigint'],
    `update tenants set release = v.column2, generation = v.column3, routes = v.column4, reserved_memory = v.column5,
       reserved_cpus = v.column6, surge_memory = v.column7, updated_at = v.column8 from`,
    'where tenants.tenant = v.column1',
  );
  const giveOut = batchStatement(
    dialect,
    ['text', 'bigint'],
    'insert into generations (tenant, last) select v.column1, v.column2 from',
    `where true on conflict (tenant) do update set last = excluded.last where excluded.last > generations.last`,
  );
  const hosts = listStatement<{ host: string; revision: number; digest: string }>(
    dialect,
    ['text'],
    (list) =>
      `select h.host, h.revision, h.digest from hosts h where h.host in (select c0 from ${list}) order by h.host ${dialect.kind === 'postgres' ? 'for update of h' : ''}`,
  );
  const present = listStatement<{ host: string; tenant: string; digest: string }>(
    dialect,
    ['text', 'text'],
    (list) => `
      select d.host, d.tenant, d.digest from ${list} join desired d on d.host = list.c0 and d.tenant = list.c1`,
  );
  const putEntries = batchStatement(
    dialect,
    ['text', 'text', 'text', 'text', 'bigint'],
    `insert into desired (host, tenant, kind, json, digest, revision)
     select v.column1, v.column2, 'tenant', v.column3, v.column4, v.column5 from`,
    `where true on conflict (host, tenant) do update set kind = excluded.kind, json = excluded.json,
       digest = excluded.digest, revision = excluded.revision`,
  );
  const putHosts = batchStatement(
    dialect,
    ['text', 'bigint', 'text'],
    'update hosts set revision = v.column2, digest = v.column3 from',
    'where hosts.host = v.column1',
  );
  const keep = batchStatement(
    dialect,
    ['bigint', 'text'],
    'insert into rollout_before (rollout, tenant, json) select v.column1, v.column2, d.json from',
    `join tenants t on t.tenant = v.column2
     join desired d on d.host = t.host and d.tenant = t.tenant and d.kind = 'tenant'
     where true on conflict (rollout, tenant) do update set json = excluded.json`,
  );
  const histories = batchStatement(
    dialect,
    ['text', 'bigint', 'bigint', 'text', 'text', 'bigint', 'bigint', 'bigint', 'text'],
    `insert into tenant_history (tenant, entry, generation, at, actor, what, release, rollout, ms, message)
     select v.column1,
       coalesce((select max(h.entry) from tenant_history h where h.tenant = v.column1), 0) + 1,
       v.column2, v.column3, v.column4, v.column5, v.column6, v.column7, v.column8, v.column9 from`,
    '',
  );
  const ends = batchStatement(
    dialect,
    ['text', 'bigint', 'bigint', 'text'],
    `update tenant_history set ms = coalesce(v.column3, tenant_history.ms),
       what = case when v.column4 is null then tenant_history.what else 'failed' end,
       message = coalesce(v.column4, tenant_history.message) from`,
    // A way back that was told before has its time; one that came to fail since has failed all the same.
    `where tenant_history.tenant = v.column1 and tenant_history.entry =
         (select max(h.entry) from tenant_history h where h.tenant = v.column1 and h.generation = v.column2)
       and (tenant_history.ms is null or v.column4 is not null)`,
  );

  return (db) => ({
    async moveTenants(records) {
      await move(
        db,
        records.map((each) => [
          each.tenant,
          each.release,
          each.generation,
          JSON.stringify(each.routes),
          each.reservedMemory,
          each.reservedCpus,
          each.surgeMemory,
          each.updatedAt,
        ]),
      );
      await giveOut(
        db,
        records.map((each) => [each.tenant, each.generation]),
      );
    },
    async putDesiredOf(entries) {
      const names = [...new Set(entries.map((each) => each.host))].sort();
      const known = new Map(
        (await hosts(db, names)).map((row) => [row.host, { ...row, revision: row.revision + 1 }]),
      );
      const missing = names.find((host) => !known.has(host));
      if (missing !== undefined) throw new BerthError('not_found', `There is no host ${missing}.`);
      const old = await present(
        db,
        entries.map((each) => [each.host, each.entry.tenant]),
      );
      for (const { host, digest } of old) toggle(known, host, digest);
      const rows = entries.map(({ host, entry }) => {
        const digest = entryDigest(entry);
        toggle(known, host, digest);
        return [host, entry.tenant, JSON.stringify(entry), digest, known.get(host)?.revision ?? 0];
      });
      await putEntries(db, rows);
      await putHosts(
        db,
        [...known.values()].map((row) => [row.host, row.revision, row.digest]),
      );
    },
    keepDesired: (rollout, tenants) =>
      keep(
        db,
        tenants.map((tenant) => [rollout, tenant]),
      ),
    async replaceRolloutTenants(rollout, tenants) {
      await db.deleteFrom('rollout_tenants').where('rollout', '=', rollout).execute();
      await db.deleteFrom('rollout_before').where('rollout', '=', rollout).execute();
      for (let from = 0; from < tenants.length; from += 100)
        await db
          .insertInto('rollout_tenants')
          .values(
            tenants.slice(from, from + 100).map((each) => ({
              rollout,
              tenant: each.tenant,
              wave: each.wave,
              position: each.position,
              from_release: each.fromRelease,
              from_generation: each.fromGeneration,
              progress: JSON.stringify(each.progress),
              before: each.before === null ? null : JSON.stringify(each.before),
            })),
          )
          .execute();
    },
    putHistories: (entries) =>
      histories(
        db,
        entries.map(({ tenant, entry }) => [
          tenant,
          entry.generation,
          entry.at,
          entry.by,
          entry.what,
          entry.release,
          entry.rollout,
          entry.ms,
          entry.message,
        ]),
      ),
    endHistories: (given) =>
      ends(
        db,
        given.map((end) => [
          end.tenant,
          end.generation,
          end.ms === null ? null : Math.round(end.ms),
          end.failed,
        ]),
      ),
  });
}

function toggle(hosts: ReadonlyMap<string, { digest: string }>, host: string, digest: string): void {
  const found = hosts.get(host);
  if (found !== undefined) found.digest = toggleDigest(found.digest, digest);
}

function isCount(key: string, counts: WaveCounts): key is keyof WaveCounts {
  return key in counts;
}
