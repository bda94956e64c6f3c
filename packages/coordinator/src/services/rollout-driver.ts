import { setImmediate as breathe } from 'node:timers/promises';
import { BerthError } from '@berth/shared/domain/errors';
import { isQueued } from '@berth/shared/domain/rollout';
import type { Traffic } from '@berth/shared/domain/traffic';
import { decide } from '../rollout/decide.ts';
import type { Decision } from '../rollout/types.ts';
import type { EventFeed } from './events.ts';
import type { FleetPort } from './fleet-port.ts';
import { createTick } from './fleet-tick.ts';
import type { Log } from './fleet-types.ts';
import type { EventRecord } from './records.ts';
import type { DatabaseProvision } from './database-provision.ts';
import { carryOut, type Carried } from './rollout-carry.ts';
import { makeDatabases } from './rollout-databases.ts';
import { auditOf } from './rollout-audit.ts';
import { chunksOf } from './rollout-chunks.ts';
import { gatherCounts } from './rollout-counts.ts';
import {
  isBusy,
  loadOpen,
  markActive,
  NAMES_PER_READ,
  rowOf,
  waitsForAgents,
  type Open,
} from './rollout-open.ts';
import { promote } from './rollout-queue.ts';
import { baselineOf, readAfter } from './rollout-traffic.ts';
import type { RolloutRecord } from './rollout-store.ts';
import type { Store } from './store.ts';
import { requireApply } from './tenant-state.ts';
import type { TemplateCache } from './templates.ts';

/** What others ask of the driver. */
export interface RolloutPort {
  /** Somebody did something that rollouts go by: look at once. Cheap; what comes within one tick is one look. */
  look(): void;
  /** The open rollout with what is known of its tenants; null when it is not driven (over, or just begun). */
  open(rollout: number): Open | null;
}

export interface RolloutDriver extends RolloutPort {
  /** One look, at once. Never entered twice at the same time by the driver itself. */
  turn(): Promise<void>;
  /** Ends what is under way, and resolves when nothing runs any more. */
  close(): Promise<void>;
}

export interface DriverOptions {
  store: Store;
  fleet: Pick<FleetPort, 'changed' | 'ask' | 'online'>;
  feed: EventFeed;
  cache: TemplateCache;
  clock: { now(): number };
  log: Log;
  signal: AbortSignal;
  cpuOvercommit?: number | undefined;
  /** Makes databases of tenants whose new release is the first to ask for one. */
  databases?: DatabaseProvision | undefined;
  /**
   * From the first thing that happened to the look at it, so that what comes together is looked at together.
   * Null: it looks only when `turn` is called.
   */
  tickMs?: number | null;
}

/** What depends on time alone is looked at this often. */
const EVERY_MS = 1_000;
/** A look at a rollout over so many tenants is put off for so long after the last one. */
const LARGE_TENANTS = 100;
const LARGE_SPACING_MS = 100;
/** Rounds of deciding within one look; what is left is decided in the next. */
const ROUNDS = 50;

/** These tell of a change that a rollout goes by. Steps and the like are not worth a read. */
const TELLING: ReadonlySet<string> = new Set([
  'tenant.changed',
  'tenant.live',
  'tenant.settled',
  'tenant.blocked',
  'tenant.failed',
  'tenant.returned',
  'tenant.paused',
  'tenant.removed',
  'host.online',
  'host.offline',
]);

/**
 * Keeps the open rollouts in memory, learns from events which of their tenants to look at, and carries out what
 * `advance` decides, a hundred tenants in a transaction. All that it knows can be read again from the store, so one that
 * was killed goes on where it was, and does nothing twice.
 */
export function createRolloutDriver(options: DriverOptions): RolloutDriver {
  const { store, fleet, feed, cache, clock, log } = options;
  const ended = new AbortController();
  const signal = AbortSignal.any([options.signal, ended.signal]);
  const opens = new Map<number, Open>();
  /** Whose tenant it is. An app's rollouts are driven one after another, so a tenant is in one of them. */
  const ofTenant = new Map<string, Open>();
  const startedAt = clock.now();
  let looked = true;
  /** There is more to decide, and nothing else to wait for. */
  let soon = false;
  let passedAt = Number.NEGATIVE_INFINITY;
  let turning: Promise<void> = Promise.resolve();

  async function pass(): Promise<void> {
    if (signal.aborted) return;
    soon = false;
    // Nothing is decided before an operator has confirmed what is on record.
    if ((await store.epoch()).mode === 'observe') return;
    const now = clock.now();
    const due = now - passedAt >= EVERY_MS || now < passedAt;
    if (looked || due) await sync();
    if (due) passedAt = now;
    for (const open of opens.values()) {
      try {
        if (due) markActive(open, now);
        await refresh(open);
        await gatherCounts({ store, fleet, wake: () => tick?.hurry() }, open, now);
        await readAfter(store, open, now);
        if (!waitsForAgents(open, startedAt, now)) await drive(open);
      } catch (thrown) {
        // What is in memory may be wrong now; what is on record is not.
        forget(open);
        looked = true;
        soon = thrown instanceof Changed;
        if (soon || signal.aborted) continue;
        if (thrown instanceof BerthError && thrown.code === 'observe_only') continue;
        log.error(
          { err: thrown, rollout: open.record.rollout },
          'A rollout could not go on; it is tried again.',
        );
      }
    }
    if (soon) tick?.request();
  }

  /** Takes up rollouts that were begun or acted upon, and lets go of those that are over. */
  async function sync(): Promise<void> {
    looked = false;
    const records = await store.openRollouts();
    const known = new Set(records.map((record) => record.rollout));
    for (const open of opens.values()) if (!known.has(open.record.rollout)) forget(open);
    for (const record of records) {
      const ahead = records.find(
        (other) => other.app === record.app && other.rollout < record.rollout && isBusy(other),
      );
      const kept = opens.get(record.rollout);
      if (record.state.kind === 'queued' && ahead === undefined) {
        await promote(store, record, clock.now());
        looked = true;
      } else if (kept === undefined || kept.record.updatedAt !== record.updatedAt) {
        await take(record);
      }
      const open = opens.get(record.rollout);
      if (open === undefined) continue;
      open.book.ahead = ahead?.rollout ?? null;
      open.book.frozen = (await store.app(record.app))?.frozen ?? null;
    }
    if (looked) await sync();
  }

  async function take(record: RolloutRecord): Promise<void> {
    const before = opens.get(record.rollout);
    if (before !== undefined) forget(before);
    const open = await loadOpen(store, record);
    opens.set(record.rollout, open);
    if (!isQueued(record.state)) for (const { tenant } of open.rollout.tenants) ofTenant.set(tenant, open);
    // From here on events say what has changed; what changed while it was read is read again.
    for (const { tenant } of open.rollout.tenants) open.dirty.add(tenant);
  }

  function forget(open: Open): void {
    opens.delete(open.record.rollout);
    for (const { tenant } of open.rollout.tenants) if (ofTenant.get(tenant) === open) ofTenant.delete(tenant);
  }

  async function refresh(open: Open): Promise<void> {
    const names = [...open.dirty];
    open.dirty.clear();
    for (let from = 0; from < names.length; from += NAMES_PER_READ) {
      const chunk = names.slice(from, from + NAMES_PER_READ);
      open.book.put(chunk, await store.tenantFacts(chunk));
      if (from + NAMES_PER_READ < names.length) await breathe();
    }
  }

  async function drive(open: Open): Promise<void> {
    for (let round = 0; round < ROUNDS; round += 1) {
      if (signal.aborted) return;
      const decisions = decide(open.rollout, open.book, clock.now());
      if (decisions.length === 0) return;
      for (const chunk of chunksOf(decisions)) {
        await carry(open, chunk);
        await breathe();
        if (signal.aborted) return;
      }
      // Whoever may begin has begun; what follows from that is decided when something has come of it.
      if (decisions.at(-1)?.kind === 'begin') break;
      // Somebody was not as we thought: look before deciding about him again.
      if (open.dirty.size > 0) await refresh(open);
    }
    soon = true;
  }

  async function carry(open: Open, decisions: readonly Decision[]): Promise<void> {
    const baseline = await baselineOf(store, open, decisions, clock.now());
    const now = clock.now();
    const { rollout } = open.record;
    const by = { actor: `rollout:${rollout}`, requestId: '' };
    const withoutDatabase = await makeDatabases(options, by, open.record, decisions);
    const carried = await store.mutate<Carried>(by, now, async (tx) => {
      await requireApply(tx);
      const present = await tx.rollout(rollout);
      if (present?.updatedAt !== open.record.updatedAt) throw new Changed();
      const result = await carryOut({
        tx,
        cache,
        record: open.record,
        rollout: open.rollout,
        decisions,
        now,
        fact: (tenant) => open.book.tenant(tenant),
        rowIn: (version, tenant) => rowOf(open, version, tenant),
        before: (tenant): Traffic | null => baseline.get(tenant) ?? null,
        cpuOvercommit: options.cpuOvercommit,
        withoutDatabase,
      });
      return {
        result,
        audit: auditOf(open.rollout, decisions),
      };
    });
    open.record = carried.record;
    open.rollout = carried.rollout;
    for (const [tenant, told] of carried.told) open.book.told(tenant, told);
    for (const tenant of carried.stale) open.dirty.add(tenant);
    for (const host of new Set([...carried.told.values()].map((each) => each.host))) fleet.changed(host);
    // The next one in the queue may have its turn.
    if (isBusy(carried.record)) return;
    looked = true;
    soon = true;
  }

  function hear(event: EventRecord): void {
    if (!TELLING.has(event.kind)) return;
    if (event.tenant !== null) {
      const open = ofTenant.get(event.tenant);
      if (open === undefined) return;
      open.dirty.add(event.tenant);
      open.again.add(event.tenant);
      // Somebody may wait for his turn. Where many tell, each look is of those who told since the last one all the same.
      tick?.hurry();
      return;
    }
    if (event.host === null) return;
    for (const open of opens.values())
      for (const tenant of open.book.onHost(event.host)) {
        open.dirty.add(tenant);
        tick?.request();
      }
  }

  async function listen(): Promise<void> {
    for await (const events of feed.follow(await feed.last(), {}, signal))
      for (const event of events) hear(event);
  }

  function isLarge(): boolean {
    return [...opens.values()].some(({ rollout }) => rollout.tenants.length >= LARGE_TENANTS);
  }

  function turn(): Promise<void> {
    turning = turning.catch(() => undefined).then(pass);
    return turning;
  }

  const ms = options.tickMs === undefined ? 50 : options.tickMs;
  const tick =
    ms === null
      ? null
      : createTick({
          ms,
          // While hundreds move nobody waits for one of them, and fewer and larger transactions cost less.
          spacingMs: () => (isLarge() ? LARGE_SPACING_MS : 0),
          what: 'drive rollouts',
          log,
          run: turn,
        });
  const timer = setInterval(() => {
    // Where nobody else writes, nothing begins by itself while nothing is open.
    if (opens.size > 0 || looked || store.kind === 'postgres') tick?.request();
  }, EVERY_MS);
  timer.unref();
  const listening = listen().catch((thrown: unknown) => {
    if (!signal.aborted)
      log.error({ err: thrown }, 'Rollouts hear no events any more; they still look every second.');
  });
  tick?.request();

  return {
    look() {
      looked = true;
      tick?.hurry();
    },
    open: (rollout) => opens.get(rollout) ?? null,
    turn,
    async close() {
      clearInterval(timer);
      ended.abort();
      await tick?.stop();
      await turning.catch(() => undefined);
      await listening;
    },
  };
}

/** Thrown out of a transaction when somebody else changed the rollout meanwhile. */
class Changed extends Error {
  override readonly name = 'Changed';
}
