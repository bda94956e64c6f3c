import type { Kysely } from 'kysely';
import { BerthError, messageOf } from '@berth/shared/domain/errors';
import type { Actor, EventRecord } from '../services/records.ts';
import type { Mutation, Store, StoreReads, StoreWrites } from '../services/store.ts';
import { accessReads, accessWrites } from './access.ts';
import { createBulk, type Bulk } from './bulk.ts';
import { catalogReads, catalogWrites } from './catalog.ts';
import { databaseReads, databaseWrites } from './databases.ts';
import { putDesired } from './desired.ts';
import { createDialect, type Dialect, type StoreOptions } from './dialect.ts';
import { createFleetStore, readEpoch } from './fleet.ts';
import { historyReads, settingWrites } from './rollout-settings.ts';
import { createRolloutRecords, type RolloutRecords } from './rollouts.ts';
import { createTenantFacts, type TenantFacts } from './tenant-facts.ts';
import { createTrafficRecords, type TrafficRecords } from './traffic.ts';
import { enrolmentKeys, enrolReads, enrolWrites } from './enrolment.ts';
import { hostReads, hostWrites } from './hosts.ts';
import { poolReads } from './pools.ts';
import { appendAudit, auditReads } from './audit.ts';
import { journalReads, journalWrites, createEventLog, type EventLog } from './journal.ts';
import { migrate } from './migrate.ts';
import { migrations } from './migrations/index.ts';
import { signersReads, signersWrites } from './signers.ts';
import { secretReads, secretWrites } from './secrets.ts';
import type { Tables } from './tables.ts';
import { tenantReads, tenantWrites } from './tenants.ts';

export type { StoreOptions } from './dialect.ts';

/**
 * Opens the database and brings it to this code's version. Errors: `unavailable` when it cannot be opened, `conflict`
 * when it was made by a newer Berth. `openStore` owns the connection until `close`.
 */
export async function openStore(options: StoreOptions): Promise<Store> {
  const dialect = await createDialect(options);
  try {
    await migrate(dialect, migrations);
  } catch (thrown) {
    await dialect.db.destroy();
    if (thrown instanceof BerthError) throw thrown;
    throw new BerthError('unavailable', `The database cannot be used: ${messageOf(thrown)}.`, {
      cause: thrown,
    });
  }
  return storeOn(dialect);
}

function storeOn(dialect: Dialect): Store {
  const { db } = dialect;
  const kept: Kept = {
    rollouts: createRolloutRecords(dialect),
    facts: createTenantFacts(dialect),
    traffic: createTrafficRecords(dialect),
    bulk: createBulk(dialect),
    events: createEventLog(dialect),
  };
  const listeners = new Set<(events: readonly EventRecord[]) => void>();
  const committed = (tx: Kysely<Tables>): void => {
    const events = kept.events.appendedIn(tx);
    if (events.length > 0) for (const listener of listeners) listener(events);
  };
  return {
    kind: dialect.kind,
    ...reads(db, dialect, kept),
    fleet: createFleetStore(dialect, kept.events.append, committed),
    async mutate<T>(by: Actor, at: number, work: (tx: StoreWrites) => Promise<Mutation<T>>): Promise<T> {
      // What a mutation that changed nothing answers, carried past the roll-back.
      let unchanged: { result: T } | null = null;
      try {
        const { result, tx: done } = await dialect.transaction(async (tx) => {
          const mutation = await work({ ...reads(tx, dialect, kept), ...writes(tx, dialect, kept) });
          if (mutation.audit === null) {
            unchanged = { result: mutation.result };
            throw NOTHING_CHANGED;
          }
          if (mutation.audit !== 'bookkeeping') await appendAudit(tx, by, at, mutation.audit);
          return { result: mutation.result, tx };
        });
        committed(done);
        return result;
      } catch (thrown) {
        if (thrown === NOTHING_CHANGED && unchanged !== null) return keep(unchanged);
        throw thrown;
      }
    },
    onEvents(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    ...enrolmentKeys(db),
    async touchToken(id, at) {
      await db.updateTable('tokens').set({ last_used_at: at }).where('id', '=', id).execute();
    },
    async resetConnections() {
      await db
        .updateTable('hosts')
        .set({ connection: 'offline' })
        .where('connection', '=', 'online')
        .execute();
    },
    async probe(at) {
      await db.updateTable('meta').set({ probed_at: at }).execute();
    },
    async close() {
      listeners.clear();
      await db.destroy();
    },
  };
}

const NOTHING_CHANGED = new Error('nothing changed');

function keep<T>(answer: { result: T }): T {
  return answer.result;
}

/** Whose statements over many rows are prepared once for the store. */
interface Kept {
  rollouts: RolloutRecords;
  facts: TenantFacts;
  traffic: TrafficRecords;
  bulk: Bulk;
  events: EventLog;
}

function reads(db: Kysely<Tables>, dialect: Dialect, kept: Kept): StoreReads {
  return {
    epoch: () => readEpoch(db),
    ...catalogReads(db, dialect),
    ...tenantReads(db),
    ...hostReads(db),
    ...enrolReads(db, dialect),
    ...poolReads(db),
    ...signersReads(db, dialect),
    ...journalReads(db),
    ...auditReads(db, dialect),
    ...accessReads(db, dialect),
    ...kept.rollouts.reads(db),
    ...kept.facts.reads(db),
    ...kept.traffic.reads(db),
    ...historyReads(db),
    ...kept.bulk.reads(db),
    ...secretReads(db),
    ...databaseReads(db, dialect),
  };
}

function writes(tx: Kysely<Tables>, dialect: Dialect, kept: Kept): Omit<StoreWrites, keyof StoreReads> {
  return {
    async setMode(mode, reason) {
      await tx.updateTable('meta').set({ mode, reason }).execute();
    },
    ...catalogWrites(tx),
    ...tenantWrites(tx, dialect),
    ...hostWrites(tx, dialect),
    ...enrolWrites(tx),
    ...signersWrites(tx),
    ...journalWrites(tx, kept.events.append),
    ...accessWrites(tx),
    ...kept.rollouts.writes(tx),
    ...kept.traffic.writes(tx),
    ...settingWrites(tx),
    ...kept.bulk.writes(tx),
    ...secretWrites(tx),
    ...databaseWrites(tx),
    putDesired: (host, put) => putDesired(tx, dialect, host, put),
  };
}
