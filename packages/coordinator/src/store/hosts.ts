import { sql, type Kysely } from 'kysely';
import { EMPTY_DIGEST } from '@berth/shared/domain/desired';
import type { HostRecord, HostView } from '../services/records.ts';
import type { StoreReads, StoreWrites } from '../services/store.ts';
import type { Dialect } from './dialect.ts';
import { hostReport, textMap } from './json.ts';
import { inScope } from './scope.ts';
import type { HostTable, Tables } from './tables.ts';

type Db = Kysely<Tables>;

const hostOf = (row: HostTable): HostRecord => ({
  host: row.host,
  name: row.name,
  publicKey: row.public_key,
  pool: row.pool,
  scheduling: row.scheduling,
  connection: row.connection,
  lastSeenAt: row.last_seen_at,
  agentVersion: row.agent_version,
  memoryBytes: row.memory_bytes,
  cpus: row.cpus,
  ingress:
    row.ingress_address === null || row.ingress_port === null
      ? null
      : { address: row.ingress_address, port: row.ingress_port },
  facts: textMap(row.facts),
  report: hostReport(row.report),
  revision: row.revision,
  ackedEpoch: row.acked_epoch,
  ackedRevision: row.acked_revision,
  createdAt: row.created_at,
});

/** Hosts with the sums over their tenants; the sums come from one index. */
function viewQuery(db: Db) {
  return db
    .selectFrom('hosts')
    .leftJoin(
      (eb) =>
        eb
          .selectFrom('tenants')
          .select((inner) => [
            'tenants.host',
            inner.fn.countAll<number>().as('n'),
            inner.fn.sum<number>('reserved_memory').as('memory'),
            inner.fn.sum<number>('reserved_cpus').as('cpus'),
            inner.fn.max('surge_memory').as('surge'),
            sql<string | null>`max(case when tenancy = 'dedicated' then tenant end)`.as('dedicated_to'),
          ])
          .groupBy('tenants.host')
          .as('sums'),
      (join) => join.onRef('sums.host', '=', 'hosts.host'),
    )
    .leftJoin('instances', 'instances.host', 'hosts.host')
    .selectAll('hosts')
    .select([
      'sums.n as tenants',
      'sums.memory as reserved_memory',
      'sums.cpus as reserved_cpus',
      'sums.surge as largest_surge',
      'sums.dedicated_to',
      'instances.instance as instance',
    ]);
}

type ViewRow = Awaited<ReturnType<ReturnType<typeof viewQuery>['executeTakeFirstOrThrow']>>;

const viewOf = (row: ViewRow): HostView => ({
  ...hostOf(row),
  tenants: row.tenants ?? 0,
  reservedMemory: row.reserved_memory ?? 0,
  reservedCpus: row.reserved_cpus ?? 0,
  largestSurge: row.largest_surge ?? 0,
  dedicatedTo: row.dedicated_to,
  instance: row.instance,
});

export function hostReads(db: Db): Pick<StoreReads, 'lag' | 'totals' | 'host' | 'hosts' | 'hostByKey'> {
  return {
    async lag() {
      const row = await db
        .selectFrom('hosts')
        .innerJoin('meta', (join) => join.onTrue())
        .where((eb) =>
          eb.or([
            eb('hosts.acked_epoch', '<', eb.ref('meta.epoch')),
            eb('hosts.acked_revision', '<', eb.ref('hosts.revision')),
          ]),
        )
        .where('hosts.revision', '>', 0)
        .select((eb) => [
          eb.fn.countAll<number>().as('n'),
          eb.fn.max(sql<number>`hosts.revision - hosts.acked_revision`).as('most'),
        ])
        .executeTakeFirstOrThrow();
      return { hosts: row.n, revisions: Math.max(0, row.most ?? 0) };
    },
    async totals(scope) {
      const appVisible = inScope(scope, { app: 'apps.app' });
      const hostVisible = inScope(scope, { pool: 'hosts.pool' });
      const apps = await db
        .selectFrom('apps')
        .select((eb) => eb.fn.countAll<number>().as('n'))
        .$if(appVisible !== null, (query) => (appVisible === null ? query : query.where(appVisible)))
        .executeTakeFirstOrThrow();
      const rows = await db
        .selectFrom('hosts')
        .select((eb) => ['connection', eb.fn.countAll<number>().as('n')])
        .$if(hostVisible !== null, (query) => (hostVisible === null ? query : query.where(hostVisible)))
        .groupBy('connection')
        .execute();
      const hosts = { total: 0, online: 0 };
      for (const row of rows) {
        hosts.total += row.n;
        if (row.connection === 'online') hosts.online += row.n;
      }
      return { apps: apps.n, hosts };
    },
    async host(host) {
      const row = await viewQuery(db).where('hosts.host', '=', host).executeTakeFirst();
      return row === undefined ? null : viewOf(row);
    },
    async hosts({ after, limit, scope }) {
      let query = viewQuery(db).orderBy('hosts.host').limit(limit);
      const visible = inScope(scope, { pool: 'hosts.pool' });
      if (visible !== null) query = query.where(visible);
      if (after !== undefined) query = query.where('hosts.host', '>', after);
      return (await query.execute()).map(viewOf);
    },
    async hostByKey(publicKey) {
      const row = await db
        .selectFrom('hosts')
        .selectAll()
        .where('public_key', '=', publicKey)
        .executeTakeFirst();
      return row === undefined ? null : hostOf(row);
    },
  };
}

type HostWrites = 'lockHosts' | 'insertHost' | 'setScheduling' | 'deleteHost';

export function hostWrites(db: Db, dialect: Dialect): Pick<StoreWrites, HostWrites> {
  return {
    async lockHosts(which) {
      const chosen = db
        .selectFrom('hosts')
        .select('host')
        .where('pool' in which ? sql<boolean>`pool = ${which.pool}` : sql<boolean>`host = ${which.host}`)
        .orderBy('host')
        .modifyEnd(dialect.forUpdate);
      const names = (await chosen.execute()).map((row) => row.host);
      if (names.length === 0) return [];
      const query = viewQuery(db).orderBy('hosts.host');
      const rows = await (
        'pool' in which
          ? query.where('hosts.pool', '=', which.pool)
          : query.where('hosts.host', '=', which.host)
      ).execute();
      return rows.map(viewOf);
    },
    async insertHost(host) {
      await db
        .insertInto('hosts')
        .values({
          host: host.host,
          name: host.name,
          public_key: host.publicKey,
          pool: host.pool,
          scheduling: 'open',
          revision: 0,
          digest: EMPTY_DIGEST,
          acked_epoch: 0,
          acked_revision: 0,
          memory_bytes: 0,
          cpus: 0,
          disk_bytes: 0,
          ingress_address: null,
          ingress_port: null,
          facts: '{}',
          report: null,
          agent_version: null,
          boot_id: null,
          connection: 'never-seen',
          last_seen_at: null,
          created_at: host.createdAt,
        })
        .execute();
    },
    async setScheduling(host, scheduling) {
      await db.updateTable('hosts').set({ scheduling }).where('host', '=', host).execute();
    },
    async deleteHost(host) {
      await db.deleteFrom('observed').where('host', '=', host).execute();
      await db.deleteFrom('hosts').where('host', '=', host).execute();
    },
  };
}
