import { addTraffic, TRAFFIC_SLOT_MS, type Traffic, type TrafficSample } from '@berth/shared/domain/traffic';

/** From one word on a tenant that somebody watches to the next, and on any other. */
const WATCHED_EVERY_MS = 2_000;
const EVERY_MS = 30_000;
/** A slot that is over is remembered for so long, so that a restart tells of it once more. */
const KEEP_MS = 120_000;
/** Tenant and generation pairs beyond this are not counted; far above what a host holds. */
const MAX_CELLS = 20_000;

interface Cell {
  sample: TrafficSample;
  toldAt: number;
}

/** What every tenant and generation has served so far, per slot. */
export interface Ledger {
  add(tenant: string, generation: number, traffic: Traffic, now: number): void;
  /** Samples that are to be told now; each is told again only after it has changed. */
  due(now: number, isWatched: (tenant: string) => boolean): TrafficSample[];
  /** All samples that have changed since they were told, whether or not it is time. */
  changed(now: number): TrafficSample[];
  /** Every sample that is remembered. */
  all(): TrafficSample[];
  /** All are told once more. */
  repeat(): void;
}

/** Goes on from `kept`, which is told anew: nobody knows whether it arrived. */
export function createLedger(run: number, kept: readonly TrafficSample[] = []): Ledger {
  const cells = new Map<string, Cell>();
  const changed = new Set<Cell>();
  let sweptSlot = 0;
  const keyOf = (tenant: string, generation: number, slot: number): string =>
    `${tenant} ${generation} ${slot}`;
  const slotAt = (now: number): number => now - (now % TRAFFIC_SLOT_MS);

  for (const sample of kept) {
    const cell = { sample, toldAt: Number.NEGATIVE_INFINITY };
    cells.set(keyOf(sample.tenant, sample.generation, sample.slot), cell);
    changed.add(cell);
  }

  function sweep(now: number): void {
    const slot = slotAt(now - KEEP_MS);
    if (slot === sweptSlot) return;
    sweptSlot = slot;
    for (const [key, cell] of cells) if (cell.sample.slot < slot && !changed.has(cell)) cells.delete(key);
  }

  return {
    add(tenant, generation, traffic, now) {
      const slot = slotAt(now);
      const key = keyOf(tenant, generation, slot);
      const known = cells.get(key);
      if (known === undefined && cells.size >= MAX_CELLS) return;
      // A sample that was given away does not change any more.
      const sample = {
        tenant,
        generation,
        slot,
        run,
        traffic: known === undefined ? traffic : addTraffic(known.sample.traffic, traffic),
      };
      const cell = known ?? { sample, toldAt: Number.NEGATIVE_INFINITY };
      cell.sample = sample;
      cells.set(key, cell);
      changed.add(cell);
    },
    due(now, isWatched) {
      const told: TrafficSample[] = [];
      for (const cell of changed) {
        const over = cell.sample.slot + TRAFFIC_SLOT_MS <= now;
        const every = over ? 0 : isWatched(cell.sample.tenant) ? WATCHED_EVERY_MS : EVERY_MS;
        // A clock that was set back must not silence anybody.
        if (now >= cell.toldAt && now - cell.toldAt < every) continue;
        cell.toldAt = now;
        changed.delete(cell);
        told.push(cell.sample);
      }
      sweep(now);
      return told;
    },
    changed(now) {
      const told = [...changed];
      changed.clear();
      for (const cell of told) cell.toldAt = now;
      return told.map((cell) => cell.sample);
    },
    all: () => [...cells.values()].map((cell) => cell.sample),
    repeat() {
      for (const cell of cells.values()) {
        cell.toldAt = Number.NEGATIVE_INFINITY;
        changed.add(cell);
      }
    },
  };
}
