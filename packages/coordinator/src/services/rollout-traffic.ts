import { setImmediate as breathe } from 'node:timers/promises';
import { addTraffic, TRAFFIC_SLOT_MS, type Traffic } from '@berth/shared/domain/traffic';
import type { Decision } from '../rollout/types.ts';
import type { Open } from './rollout-open.ts';
import type { StoreReads } from './store.ts';

const DAY_MS = 86_400_000;
/** A day of so many tenants is a few milliseconds of reading. */
const PER_READ = 10;
/** What was served since a move is a few samples each. */
const PER_READ_AFTER = 100;
/** Requests are read this often, of very many tenants less often. */
const EVERY_MS = 5_000;
const EVERY_MS_PER_TENANT = 4;

/** Requests of the day before, for those who begin now: what comes later is compared with them. */
export async function baselineOf(
  store: StoreReads,
  open: Open,
  decisions: readonly Decision[],
  now: number,
): Promise<ReadonlyMap<string, Traffic>> {
  const names = decisions.flatMap((each) => (each.kind === 'begin' ? [each.tenant] : []));
  const sums = new Map<string, Traffic>();
  for (let from = 0; from < names.length; from += PER_READ) {
    for (const row of await store.traffic(names.slice(from, from + PER_READ), now - DAY_MS)) {
      // A generation that is above the one that serves is a move that failed: its requests are not the past's.
      if (row.generation > (open.book.tenant(row.tenant)?.generation ?? 0)) continue;
      const sum = sums.get(row.tenant);
      sums.set(row.tenant, sum === undefined ? row.traffic : addTraffic(sum, row.traffic));
    }
    if (from + PER_READ < names.length) await breathe();
  }
  return sums;
}

/** Requests since they moved of those that serve the new release and whose wave has not passed. */
export async function readAfter(
  store: Pick<StoreReads, 'traffic'>,
  open: Pick<Open, 'rollout' | 'book' | 'trafficAt'>,
  now: number,
): Promise<void> {
  if (now >= open.trafficAt && now - open.trafficAt < EVERY_MS) return;
  const live = open.rollout.tenants.flatMap(({ tenant, progress }) =>
    progress.kind === 'live' ? [{ tenant, generation: progress.generation, since: progress.since }] : [],
  );
  const every = Math.max(EVERY_MS, live.length * EVERY_MS_PER_TENANT);
  if (now >= open.trafficAt && now - open.trafficAt < every) return;
  open.trafficAt = now;
  for (let from = 0; from < live.length; from += PER_READ_AFTER) {
    const chunk = live.slice(from, from + PER_READ_AFTER);
    const since = Math.min(...chunk.map((each) => each.since));
    // The slot in which it moved began before; samples are kept by generation, so nothing of the past is among them.
    const slot = Math.floor(since / TRAFFIC_SLOT_MS) * TRAFFIC_SLOT_MS;
    const generations = new Map(chunk.map((each) => [each.tenant, each.generation]));
    const sums = new Map<string, Traffic>();
    for (const row of await store.traffic([...generations.keys()], slot)) {
      if (row.generation !== generations.get(row.tenant)) continue;
      const sum = sums.get(row.tenant);
      sums.set(row.tenant, sum === undefined ? row.traffic : addTraffic(sum, row.traffic));
    }
    for (const [tenant, sum] of sums) open.book.setAfter(tenant, sum);
    if (from + PER_READ_AFTER < live.length) await breathe();
  }
}
