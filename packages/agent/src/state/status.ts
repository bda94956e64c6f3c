import { join } from 'node:path';
import { z } from 'zod';
import { digestOf } from '@berth/shared/domain/digest';
import { Digest } from '@berth/shared/domain/ids';
import { Released, TenantStatus } from '@berth/shared/domain/status';
import type { Clock } from './ports.ts';
import type { Disk } from './disk.ts';
import { quarantine } from './files.ts';

/**
 * What the agent remembers of each tenant. Two slots per tenant, written in turn: a save is one write and one fsync in
 * place, and a torn one leaves the save before it.
 */
export interface StatusStore {
  all(): ReadonlyMap<string, TenantStatus>;
  get(tenant: string): TenantStatus | null;
  /** Durable when it resolves; saves of one tenant happen in the order of the calls. Errors: `state_unwritable`. */
  save(status: TenantStatus): Promise<void>;
  remove(tenant: string): Promise<void>;
}

/** The checksum is that of what was written, whichever agent wrote it. */
const SlotFile = z.strictObject({
  sum: Digest,
  sequence: z.int().min(1),
  status: z.record(z.string(), z.unknown()),
});
/** Older agents kept the last release command alone, or null. */
const KeptStatus = TenantStatus.extend({
  released: z.union([
    TenantStatus.shape.released,
    Released.transform((one) => [one]),
    z.null().transform(() => []),
  ]),
});
const SLOT_NAME = /^([a-z0-9-]+)\.(0|1)\.json$/;
const LOADS_AT_ONCE = 64;

interface Kept {
  /** Null while the first save is under way. */
  status: TenantStatus | null;
  sequence: number;
  /** The slot that holds `status`; the other one is written next. */
  slot: 0 | 1;
  /** Which slots have a name on the disk already. */
  made: Set<number>;
  last: Promise<unknown>;
}

/**
 * Opens the statuses below `directory`, all of them at once. `lost`: tenants of which two saves were made, and neither can
 * be read. A first save that was torn is no loss: nothing was done before it was whole.
 */
export async function openStatuses(
  directory: string,
  disk: Disk,
  clock: Clock,
): Promise<{ statuses: StatusStore; quarantined: string[]; lost: ReadonlySet<string> }> {
  const slots = join(directory, 'status');
  await disk.makeDirectory(slots);
  const pathOf = (tenant: string, slot: number): string => join(slots, `${tenant}.${slot}.json`);
  const kept = new Map<string, Kept>();
  const all = new Map<string, TenantStatus>();
  const quarantined: string[] = [];
  const lost = new Set<string>();

  const tenants = new Map<string, number>();
  for (const name of await disk.list(slots)) {
    const tenant = SLOT_NAME.exec(name)?.[1];
    if (tenant !== undefined) tenants.set(tenant, (tenants.get(tenant) ?? 0) + 1);
  }
  const names = [...tenants.keys()];
  for (let from = 0; from < names.length; from += LOADS_AT_ONCE)
    await Promise.all(names.slice(from, from + LOADS_AT_ONCE).map(load));

  async function load(tenant: string): Promise<void> {
    const readings = await Promise.all([readSlot(0), readSlot(1)]);
    const [first, second] = readings;
    const slot = first !== null && (second === null || first.sequence > second.sequence) ? 0 : 1;
    const found = slot === 0 ? first : second;
    if (found === null) {
      quarantined.push(pathOf(tenant, 0));
      if (tenants.get(tenant) === 2) lost.add(tenant);
      await Promise.all([
        quarantine(disk, clock, pathOf(tenant, 0)),
        quarantine(disk, clock, pathOf(tenant, 1)),
      ]);
      return;
    }
    all.set(tenant, found.status);
    kept.set(tenant, {
      status: found.status,
      sequence: found.sequence,
      slot,
      made: new Set(readings.flatMap((reading, index) => (reading === null ? [] : [index]))),
      last: Promise.resolve(),
    });

    async function readSlot(index: number): Promise<{ sequence: number; status: TenantStatus } | null> {
      try {
        const file = SlotFile.parse(JSON.parse((await disk.read(pathOf(tenant, index))) ?? ''));
        const { sequence } = file;
        if (sumOf(sequence, file.status) !== file.sum) return null;
        const status = KeptStatus.parse(file.status);
        return status.tenant === tenant ? { sequence, status } : null;
      } catch {
        return null; // torn, or never written: the other slot counts
      }
    }
  }

  async function write(entry: Kept, status: TenantStatus): Promise<void> {
    const slot = entry.slot === 0 ? 1 : 0;
    const sequence = entry.sequence + 1;
    const text = JSON.stringify({ sum: sumOf(sequence, status), sequence, status });
    await disk.write(pathOf(status.tenant, slot), `${text}\n`);
    if (!entry.made.has(slot)) {
      await disk.syncDirectory(slots);
      entry.made.add(slot);
    }
    entry.status = status;
    entry.sequence = sequence;
    entry.slot = slot;
    all.set(status.tenant, status);
  }

  function inTurn(entry: Kept, work: () => Promise<void>): Promise<void> {
    const turn = entry.last.then(work);
    entry.last = turn.catch(() => undefined);
    return turn;
  }

  const statuses: StatusStore = {
    all: () => all,
    get: (tenant) => all.get(tenant) ?? null,
    save(status) {
      let entry = kept.get(status.tenant);
      if (entry === undefined) {
        entry = { status: null, sequence: 0, slot: 1, made: new Set(), last: Promise.resolve() };
        kept.set(status.tenant, entry);
      }
      const mine = entry;
      return inTurn(mine, () => write(mine, status));
    },
    async remove(tenant) {
      const entry = kept.get(tenant);
      if (entry === undefined) return;
      await inTurn(entry, async () => {
        // The older slot goes first: a crash in between must not bring an older status back.
        await disk.remove(pathOf(tenant, entry.slot === 0 ? 1 : 0));
        await disk.remove(pathOf(tenant, entry.slot));
        entry.made.clear();
        all.delete(tenant);
        if (kept.get(tenant) === entry) kept.delete(tenant);
      });
    },
  };
  return { statuses, quarantined, lost };
}

function sumOf(sequence: number, status: unknown): string {
  return digestOf({ sequence, status });
}
