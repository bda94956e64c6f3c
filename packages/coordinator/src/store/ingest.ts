import type { Kysely } from 'kysely';
import type { TenantReport } from '@berth/shared/protocol/report';
import type { AckRecord, ConnectionNote, IngestRecord } from '../services/fleet-store.ts';
import { unreachable } from '@berth/shared/domain/errors';
import { isAgentsToTell } from '@berth/shared/domain/events';
import { SignersFacts } from '@berth/shared/protocol/messages';
import { batchStatement, listStatement } from './batch.ts';
import type { Dialect } from './dialect.ts';
import type { SourcedEvent } from './insert-events.ts';
import type { AppendEvents } from './journal.ts';
import { textMap } from './json.ts';
import type { Tables } from './tables.ts';
import { toldDetails, toldNumber, toldText, toldTime } from './told.ts';
import { createTrafficIngest } from './traffic.ts';

type Db = Kysely<Tables>;

export interface Ingest {
  ingest(db: Db, batch: readonly IngestRecord[]): Promise<void>;
  acks(db: Db, acks: readonly AckRecord[]): Promise<void>;
  connections(db: Db, notes: readonly ConnectionNote[]): Promise<void>;
}

/** The writes that agents cause, each a few multi-row statements however large the batch is. */
export function createIngest(dialect: Dialect, appendEvents: AppendEvents): Ingest {
  // The join drops reports of a tenant that is not, or no longer, on the host that speaks.
  const upsertObserved = batchStatement(
    dialect,
    ['text', 'text', 'bigint', 'bigint', 'text', 'bigint', 'text', 'text'],
    `insert into observed (tenant, host, generation, live, phase, at, problem, json)
     select v.column1, v.column2, v.column3, v.column4, v.column5, v.column6, v.column7, v.column8 from`,
    `join tenants t on t.tenant = v.column1 and t.host = v.column2 where true
     on conflict (tenant) do update set host = excluded.host, generation = excluded.generation, live = excluded.live,
       phase = excluded.phase, at = excluded.at, problem = excluded.problem, json = excluded.json
     where observed.host <> excluded.host or excluded.at >= observed.at`,
  );
  const upsertTraffic = createTrafficIngest(dialect);
  const updateHosts = batchStatement(
    dialect,
    ['text', 'bigint', 'text'],
    'update hosts set last_seen_at = v.column2, report = coalesce(v.column3, hosts.report) from',
    // A host that moves tenants speaks several times a second. To five seconds is near enough, and spares the row.
    `where hosts.host = v.column1
       and (v.column3 is not null or coalesce(hosts.last_seen_at, 0) <= v.column2 - 5000)`,
  );
  const updateAcks = batchStatement(
    dialect,
    ['text', 'bigint', 'bigint', 'bigint'],
    'update hosts set acked_epoch = v.column2, acked_revision = v.column3, last_seen_at = v.column4 from',
    `where hosts.host = v.column1 and (hosts.acked_epoch < v.column2
       or (hosts.acked_epoch = v.column2 and hosts.acked_revision < v.column3))`,
  );
  const dropForgotten = batchStatement(
    dialect,
    ['text', 'bigint'],
    `delete from desired where kind = 'forgotten' and exists (select 1 from`,
    'where desired.host = v.column1 and desired.revision <= v.column2)',
  );
  const wentOnline = batchStatement(
    dialect,
    [
      'text',
      'bigint',
      'text',
      'text',
      'bigint',
      'bigint',
      'bigint',
      'double precision',
      'bigint',
      'text',
      'bigint',
      'text',
    ],
    `update hosts set connection = 'online', last_seen_at = v.column2, agent_version = v.column3, boot_id = v.column4,
       acked_epoch = v.column5, acked_revision = v.column6, memory_bytes = v.column7, cpus = v.column8,
       disk_bytes = v.column9, ingress_address = v.column10, ingress_port = v.column11, facts = v.column12 from`,
    'where hosts.host = v.column1',
  );
  const wentOffline = batchStatement(
    dialect,
    ['text', 'bigint'],
    `update hosts set connection = 'offline', last_seen_at = v.column2 from`,
    'where hosts.host = v.column1',
  );

  const readNames = listStatement<{ host: string; name: string }>(
    dialect,
    ['text'],
    (hosts) => `select host, name from hosts where host in (select c0 from ${hosts})`,
  );
  /** Of hosts and tenants: the tenant's app, and how many reasons there are for that host to speak of it. */
  const readPlaces = listStatement<{ host: string; tenant: string; app: string; reasons: number | string }>(
    dialect,
    ['text', 'text'],
    (pairs) =>
      `select list.c0 as host, t.tenant, t.app, (select count(*) from desired d where d.host = list.c0
         and d.tenant = t.tenant) + (case when t.host = list.c0 then 1 else 0 end) as reasons
       from ${pairs} join tenants t on t.tenant = list.c1`,
  );

  /** With their apps; those of a tenant that never was to be on the host that speaks are left out. */
  async function ownEvents(db: Db, events: readonly SourcedEvent[]): Promise<SourcedEvent[]> {
    const pairs = new Map<string, [string, string]>();
    for (const { host, tenant } of events)
      if (host !== null && tenant !== null) pairs.set(`${host} ${tenant}`, [host, tenant]);
    const rows = await readPlaces(db, [...pairs.values()]);
    const places = new Map(rows.map((row) => [`${row.host} ${row.tenant}`, row]));
    return events.flatMap((event) => {
      const place = places.get(`${event.host ?? ''} ${event.tenant ?? ''}`);
      if (place !== undefined && Number(place.reasons) === 0) return [];
      return [{ ...event, app: place?.app ?? null }];
    });
  }

  return {
    async ingest(db, batch) {
      const hosts = new Map<string, { at: number; report: string | null }>();
      const newest = new Map<string, { host: string; report: TenantReport }>();
      const events: SourcedEvent[] = [];
      for (const record of batch) {
        const before = hosts.get(record.host);
        hosts.set(record.host, {
          at: Math.max(record.at, before?.at ?? 0),
          report: record.report === null ? (before?.report ?? null) : JSON.stringify(record.report),
        });
        for (const report of record.tenants) {
          const key = `${record.host} ${report.tenant}`;
          const known = newest.get(key);
          if (known === undefined || report.at >= known.report.at)
            newest.set(key, { host: record.host, report });
        }
        for (const event of record.events) {
          // Also `tenant.removed` is not: finishRemoval tells it in the transaction that frees the name.
          if (!isAgentsToTell(event.kind)) continue;
          const message = toldText(event.message);
          const at = toldTime(event.at, record.at);
          const details = toldDetails(event.details);
          events.push({
            ...event,
            at,
            message,
            details,
            app: null,
            host: record.host,
            source: toldText(event.id),
          });
        }
      }
      await updateHosts(
        db,
        [...hosts].sort(byName).map(([host, { at, report }]) => [host, at, report]),
      );
      // Two hosts may speak of one tenant; only one of them has it, and one statement must not meet a row twice.
      for (const round of oncePerTenant([...newest.values()])) await upsertObserved(db, round);
      await upsertTraffic(db, batch);
      if (events.length > 0) await appendEvents(db, await ownEvents(db, events));
    },

    async acks(db, acks) {
      const newest = new Map<string, AckRecord>();
      for (const ack of acks) {
        const known = newest.get(ack.host);
        if (
          known === undefined ||
          ack.epoch > known.epoch ||
          (ack.epoch === known.epoch && ack.revision > known.revision)
        )
          newest.set(ack.host, ack);
      }
      const sorted = [...newest].sort(byName).map(([, ack]) => ack);
      await updateAcks(
        db,
        sorted.map((ack) => [ack.host, ack.epoch, ack.revision, ack.at]),
      );
      const forgotten = await db
        .selectFrom('desired')
        .select('host')
        .where('kind', '=', 'forgotten')
        .limit(1)
        .execute();
      if (forgotten.length === 0) return;
      const { epoch } = await db.selectFrom('meta').select('epoch').executeTakeFirstOrThrow();
      await dropForgotten(
        db,
        sorted.filter((ack) => ack.epoch === epoch).map((ack) => [ack.host, ack.revision]),
      );
    },

    async connections(db, notes) {
      // In order, and a host's last word last: each kind is written for the hosts of one round at once.
      for (const round of oncePerHost(notes)) {
        await wentOnline(
          db,
          round.flatMap((note) => {
            if (note.kind !== 'online') return [];
            const { hello } = note;
            return [
              [
                note.host,
                note.at,
                toldText(hello.agentVersion),
                toldText(hello.bootId),
                hello.epoch,
                hello.revision,
                toldNumber(hello.capacity.memoryBytes),
                hello.capacity.cpus,
                toldNumber(hello.capacity.diskBytes),
                toldText(hello.ingress.address),
                hello.ingress.port,
                JSON.stringify(hello.facts),
              ],
            ];
          }),
        );
        await wentOffline(
          db,
          round.flatMap((note) => (note.kind === 'offline' ? [[note.host, note.at]] : [])),
        );
        for (const note of round) if (note.kind === 'signers') await noteSigners(db, note);
      }
      const hosts = new Set(notes.map((note) => note.host));
      const known = new Map((await readNames(db, [...hosts])).map((row) => [row.host, row.name]));
      await appendEvents(
        db,
        notes.flatMap((note) => {
          const name = known.get(note.host);
          return name === undefined || note.kind === 'signers' ? [] : [eventOf(note, name)];
        }),
      );
    },
  };
}

function byName([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function oncePerTenant(
  reports: readonly { host: string; report: TenantReport }[],
): (string | number | null)[][][] {
  const rounds: Map<string, (string | number | null)[]>[] = [];
  for (const { host, report } of reports) {
    let round = rounds.find((candidate) => !candidate.has(report.tenant));
    if (round === undefined) rounds.push((round = new Map<string, (string | number | null)[]>()));
    round.set(report.tenant, [
      report.tenant,
      host,
      report.generation,
      report.live,
      report.phase,
      toldNumber(report.at),
      report.problem === null ? null : JSON.stringify(report.problem),
      JSON.stringify(report),
    ]);
  }
  return rounds.map((round) => [...round.values()]);
}

/** The facts of its hello with what it says now. Seldom: once for each statement. */
async function noteSigners(
  db: Db,
  { host, facts }: Extract<ConnectionNote, { kind: 'signers' }>,
): Promise<void> {
  const row = await db.selectFrom('hosts').select('facts').where('host', '=', host).executeTakeFirst();
  if (row === undefined) return;
  const others = Object.entries(textMap(row.facts)).filter(
    ([name]) => !Object.hasOwn(SignersFacts.shape, name),
  );
  const next = JSON.stringify({ ...Object.fromEntries(others), ...facts });
  await db.updateTable('hosts').set({ facts: next }).where('host', '=', host).execute();
}

function oncePerHost(notes: readonly ConnectionNote[]): ConnectionNote[][] {
  const rounds: ConnectionNote[][] = [];
  const depth = new Map<string, number>();
  for (const note of notes) {
    const at = depth.get(note.host) ?? 0;
    depth.set(note.host, at + 1);
    (rounds[at] ??= []).push(note);
  }
  return rounds;
}

function eventOf(note: Exclude<ConnectionNote, { kind: 'signers' }>, name: string): SourcedEvent {
  const common = { at: note.at, host: note.host, tenant: null, app: null, generation: null, source: null };
  switch (note.kind) {
    case 'online':
      return {
        ...common,
        kind: 'host.online',
        message: `Host ${name} is connected.`,
        details: { agentVersion: note.hello.agentVersion, bootId: note.hello.bootId },
      };
    case 'offline':
      return {
        ...common,
        kind: 'host.offline',
        message: `Host ${name} is not connected. Its tenants go on without the coordinator.`,
        details: {},
      };
    case 'superseded':
      return {
        ...common,
        kind: 'host.superseded',
        message: `Two agents came with the identity of host ${name}; the newer session won. If this repeats, a host image was cloned with its key.`,
        details: {},
      };
    case 'ahead':
      return {
        ...common,
        kind: 'host.ahead',
        message:
          `Host ${name} has revision ${note.revision} of epoch ${note.epoch}, which this coordinator does not know. It is held: it changes nothing. ` +
          'If the coordinator was restored from a backup, look at its tenants and then: berth coordinator confirm-epoch',
        details: { epoch: note.epoch, revision: note.revision },
      };
    default:
      return unreachable(note);
  }
}
