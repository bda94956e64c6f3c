import { setImmediate as breathe } from 'node:timers/promises';
import { isOver } from '@berth/shared/domain/rollout';
import type { Rollout, RolloutTenant } from '../rollout/types.ts';
import { rolloutOf } from './rollout-carry.ts';
import { createFactBook, type FactBook } from './rollout-facts.ts';
import type { RolloutRecord } from './rollout-store.ts';
import type { StoreReads } from './store.ts';

/** The last counts of a wave that has baked, while they are gathered and afterwards. */
export interface Gathering {
  wave: number;
  until: number;
  startedAt: number;
  /** Agents that have not answered yet. */
  left: number;
  /** `unasked`: some hosts are connected to another coordinator, or their agents are older than the question. */
  reach: 'all' | 'unasked';
  /** Whose last counts will not come, with why. */
  silent: Map<string, string>;
}

/** A rollout that is not over, with all that is known of it. */
export interface Open {
  record: RolloutRecord;
  rollout: Rollout;
  /** Where each tenant stands in `rollout.tenants`; that never changes. */
  index: ReadonlyMap<string, number>;
  book: FactBook;
  /** Tenants whose facts are to be read anew. */
  dirty: Set<string>;
  /** Of whom an event told; they are read once more a moment later. */
  again: Set<string>;
  /** When the facts of all that serve were read last. */
  liveAt: number;
  /** When requests were read last. */
  trafficAt: number;
  /** The counts of the last wave whose time to bake has passed; null before there was one. */
  gathering: Gathering | null;
}

/** Names in one read. */
export const NAMES_PER_READ = 500;

/** Whether the app's next rollout has to wait for it. One that only picks up who was skipped hinders nobody. */
export function isBusy(record: Pick<RolloutRecord, 'state'>): boolean {
  return !isOver(record.state) && record.state.kind !== 'waiting';
}

/** A tenant's row as it is now. */
export function rowOf(
  open: Pick<Open, 'index'>,
  rollout: Rollout,
  tenant: string,
): RolloutTenant | undefined {
  const at = open.index.get(tenant);
  return at === undefined ? undefined : rollout.tenants[at];
}

/** Reads a rollout and its tenants; their facts are not read yet. */
export async function loadOpen(store: StoreReads, record: RolloutRecord): Promise<Open> {
  const rollout = rolloutOf(record, await store.rolloutTenants(record.rollout));
  return {
    record,
    rollout,
    index: new Map(rollout.tenants.map((row, index) => [row.tenant, index])),
    book: createFactBook(rollout.tenants.map((row) => row.tenant)),
    dirty: new Set(),
    again: new Set(),
    liveAt: Number.NEGATIVE_INFINITY,
    trafficAt: Number.NEGATIVE_INFINITY,
    gathering: null,
  };
}

/** The same with the facts of all its tenants. */
export async function loadWhole(store: StoreReads, record: RolloutRecord): Promise<Open> {
  const open = await loadOpen(store, record);
  open.book.frozen = (await store.app(record.app))?.frozen ?? null;
  const names = open.rollout.tenants.map((row) => row.tenant);
  for (let from = 0; from < names.length; from += NAMES_PER_READ) {
    const chunk = names.slice(from, from + NAMES_PER_READ);
    open.book.put(chunk, await store.tenantFacts(chunk));
    await breathe();
  }
  return open;
}

/** Those that serve tell by events when something goes wrong; that is not relied upon for longer than this. */
const LIVE_EVERY_MS = 30_000;

/** Called each second. A report may come after the event that told of it, or without any. */
export function markActive(open: Open, now: number): void {
  for (const tenant of open.again) open.dirty.add(tenant);
  open.again.clear();
  const live = now - open.liveAt >= LIVE_EVERY_MS || now < open.liveAt;
  if (live) open.liveAt = now;
  for (const { tenant, progress } of open.rollout.tenants)
    if (progress.kind === 'moving' || progress.kind === 'returning' || (live && progress.kind === 'live'))
      open.dirty.add(tenant);
}

/** As long as an agent may take to come back after the coordinator was away for a while. */
const RECONNECT_MS = 35_000;

/**
 * A coordinator that has just started knows of no connection. Until those agents are back whose tenants are under way,
 * nothing is decided: a wave must not pass because nobody could be asked.
 */
export function waitsForAgents({ record, rollout, book }: Open, startedAt: number, now: number): boolean {
  if (record.createdAt >= startedAt || now - startedAt >= RECONNECT_MS || now < startedAt) return false;
  return rollout.tenants.some(
    ({ wave, tenant, progress: { kind } }) =>
      wave <= rollout.wave &&
      (kind === 'pending' || kind === 'moving' || kind === 'live' || kind === 'returning') &&
      book.tenant(tenant)?.connection === 'offline',
  );
}
