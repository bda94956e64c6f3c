import { Tombstone } from '@berth/shared/domain/desired';
import type { Kysely } from 'kysely';
import type { EpochRecord, FleetStore } from '../services/fleet-store.ts';
import { listStatement } from './batch.ts';
import { createDesiredSince, desiredAll, putDesired } from './desired.ts';
import type { Dialect } from './dialect.ts';
import { createIngest } from './ingest.ts';
import { texts } from './json.ts';
import { appendAudit } from './audit.ts';
import type { AppendEvents } from './journal.ts';
import { forgetSecrets } from './secrets.ts';
import { readPoolSigners } from './signers.ts';
import type { HostTable, Tables } from './tables.ts';
import { noteGeneration } from './tenants.ts';

type Db = Kysely<Tables>;

export async function readEpoch(db: Db): Promise<EpochRecord> {
  return await db.selectFrom('meta').select(['epoch', 'mode', 'reason']).executeTakeFirstOrThrow();
}

const BY_COORDINATOR = { actor: 'coordinator', requestId: '' };
const byAgent = (host: string) => ({ actor: `agent:${host}`, requestId: '' });

/** `committed` is called after each commit with the transaction that it was. */
export function createFleetStore(
  dialect: Dialect,
  appendEvents: AppendEvents,
  committed: (tx: Db) => void,
): FleetStore {
  const { db } = dialect;
  const ingest = createIngest(dialect, appendEvents);
  const desiredSince = createDesiredSince(dialect);
  const readHello = listStatement<
    Pick<HostTable, 'host' | 'name' | 'public_key' | 'revision' | 'digest' | 'pool'> & {
      signers: string | null;
    }
  >(
    dialect,
    ['text'],
    (hosts) =>
      `select host, name, public_key, revision, digest, pool, (select s.standing from pool_signers s
         where s.pool = hosts.pool order by s.version desc limit 1) as signers
       from hosts where host in (select c0 from ${hosts})`,
  );
  const write = async <T>(work: (tx: Db) => Promise<T>): Promise<T> => {
    const done = await dialect.transaction(async (tx) => ({ result: await work(tx), tx }));
    committed(done.tx);
    return done.result;
  };

  return {
    epoch: () => readEpoch(db),

    enterObserveOnly: (reason, at, above = 0) =>
      write(async (tx) => {
        const before = await tx
          .selectFrom('meta')
          .select(['epoch', 'mode', 'reason'])
          .modifyEnd(dialect.forUpdate)
          .executeTakeFirstOrThrow();
        if (before.mode === 'observe' && before.epoch > above) return before;
        const after: EpochRecord = { epoch: Math.max(before.epoch, above) + 1, mode: 'observe', reason };
        await tx.updateTable('meta').set(after).execute();
        await appendAudit(tx, BY_COORDINATOR, at, {
          action: 'epoch.observe',
          subject: 'coordinator',
          before,
          after,
        });
        await appendEvents(tx, [
          {
            kind: 'coordinator.epoch',
            at,
            tenant: null,
            app: null,
            host: null,
            generation: null,
            message: `Epoch ${after.epoch} begins and only observes: ${reason}`,
            details: { ...after },
            source: null,
          },
        ]);
        return after;
      }),

    async hostsForHello(hosts) {
      const rows = await readHello(db, hosts);
      return new Map(
        rows.map((row) => [
          row.host,
          {
            host: row.host,
            name: row.name,
            publicKey: row.public_key,
            revision: row.revision,
            digest: row.digest,
            pool: row.pool,
            signers: row.signers,
          },
        ]),
      );
    },

    async enrolledHosts() {
      const row = await db
        .selectFrom('hosts')
        .select((eb) => eb.fn.countAll<number>().as('n'))
        .executeTakeFirstOrThrow();
      return row.n;
    },
    noteConnections: (notes) => write((tx) => ingest.connections(tx, notes)),
    poolSigners: (pool) => readPoolSigners(db, dialect, pool),
    desiredAll: (host) => desiredAll(db, host),
    desiredSince: (cursors) => desiredSince(db, cursors),
    recordAcks: (acks) => dialect.transaction((tx) => ingest.acks(tx, acks)),
    ingest: (batch) => write((tx) => ingest.ingest(tx, batch)),

    confirmTombstone: (host, tenant, generation, containers, at) =>
      write(async (tx) => {
        const found = await tombstone(tx, dialect, host, tenant, generation);
        if (found === null) return 'unknown';
        if (found.state === 'confirmed') return 'confirmed';
        const entry: Tombstone = { ...found, state: 'confirmed' };
        const revision = await putDesired(tx, dialect, host, { kind: 'tombstone', entry });
        await appendAudit(tx, byAgent(host), at, {
          action: 'tenant.removal-confirmed',
          subject: tenant,
          before: found,
          after: { ...entry, revision, containers },
        });
        return 'confirmed';
      }),

    finishRemoval: (host, tenant, generation, at) =>
      write(async (tx) => {
        const found = await tombstone(tx, dialect, host, tenant, generation);
        if (found === null) return;
        await putDesired(tx, dialect, host, { kind: 'forgotten', tenant });
        const row = await tx
          .selectFrom('tenants')
          .select(['app', 'generation', 'domains'])
          .where('tenant', '=', tenant)
          .where('host', '=', host)
          .executeTakeFirst();
        if (row !== undefined) {
          await forget(tx, dialect, tenant, Math.max(row.generation, generation));
        }
        await appendAudit(tx, byAgent(host), at, {
          action: 'tenant.removed',
          subject: tenant,
          before: { generation, host, domains: row === undefined ? [] : texts(row.domains) },
          after: null,
        });
        await appendEvents(tx, [
          {
            kind: 'tenant.removed',
            at,
            tenant,
            app: row?.app ?? null,
            host,
            generation,
            message: `Tenant ${tenant} is removed; its volumes stay on the host.`,
            details: {},
            source: null,
          },
        ]);
      }),
  };
}

async function tombstone(
  tx: Db,
  dialect: Dialect,
  host: string,
  tenant: string,
  generation: number,
): Promise<Tombstone | null> {
  const row = await tx
    .selectFrom('desired')
    .select('json')
    .where('host', '=', host)
    .where('tenant', '=', tenant)
    .where('kind', '=', 'tombstone')
    .modifyEnd(dialect.forUpdate)
    .executeTakeFirst();
  if (row === undefined) return null;
  const found = Tombstone.parse(JSON.parse(row.json));
  return found.generation === generation ? found : null;
}

/** Frees the name and the domains. The name's last generation stays known. */
async function forget(tx: Db, dialect: Dialect, tenant: string, last: number): Promise<void> {
  await noteGeneration(tx, dialect, tenant, last);
  await tx.deleteFrom('observed').where('tenant', '=', tenant).execute();
  await tx.deleteFrom('traffic').where('tenant', '=', tenant).execute();
  await tx.deleteFrom('variables').where('scope', '=', 'tenant').where('owner', '=', tenant).execute();
  await forgetSecrets(tx, tenant);
  await tx.deleteFrom('tenants').where('tenant', '=', tenant).execute();
}
