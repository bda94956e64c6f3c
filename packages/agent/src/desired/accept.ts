import {
  EMPTY_DIGEST,
  type DesiredState,
  type DesiredTenant,
  type Tombstone,
} from '@berth/shared/domain/desired';
import { digestOfEntry, digestOfState } from '../state/digests.ts';

/** One desired state or change, put together from its parts. */
export interface Assembled {
  epoch: number;
  revision: number;
  /** Null: all of the host's state. A number: a change over that revision. */
  base: number | null;
  digest: string;
  tenants: readonly DesiredTenant[];
  tombstones: readonly Tombstone[];
  forget: readonly string[];
}

export type RejectReason = 'stale_epoch' | 'stale_revision' | 'gap' | 'digest_mismatch';

export type Acceptance =
  | {
      kind: 'accepted';
      next: DesiredState;
      /** Tenants whose entry came, went or changed. */
      changed: string[];
      /** Tenants that are no longer named, and that nobody buried: they are left running. */
      orphans: string[];
    }
  /** Exactly what is in force already: acknowledge it again, change nothing. */
  | { kind: 'repeated' }
  | { kind: 'rejected'; reason: RejectReason; message: string };

/**
 * Decides whether what came from the coordinator may take the place of what is in force. Pure: equal arguments give an
 * equal answer. `damaged` says that something was lost on this host's disk, so that the same revision may be taken again.
 */
export function accept(current: DesiredState, offered: Assembled, damaged = false): Acceptance {
  const full = offered.base === null;
  const renewed = offered.epoch > current.epoch;
  const where = `epoch ${offered.epoch} revision ${offered.revision}`;
  const mine = `epoch ${current.epoch} revision ${current.revision}`;

  if (offered.epoch < current.epoch)
    return rejected('stale_epoch', `${where} is older than ${mine}, which is in force here.`);
  if (!renewed && offered.revision < current.revision)
    return rejected('stale_revision', `${where} is older than ${mine}, which is in force here.`);
  if (!renewed && offered.revision === current.revision && !(full && damaged)) {
    if (offered.digest === digestOfState(current)) return { kind: 'repeated' };
    return rejected('stale_revision', `${where} is in force here with another content.`);
  }
  if (renewed && !full)
    return rejected('gap', `${where} begins a new epoch, which takes a full state, not a change.`);
  if (!full && offered.base !== current.revision)
    return rejected('gap', `${where} is a change over revision ${offered.base}; in force here is ${mine}.`);

  if (!renewed) {
    for (const entry of [...offered.tenants, ...offered.tombstones]) {
      // A rollout may take a tenant back to an earlier generation, but nobody takes back a removal that was asked for.
      const served = own(current.tenants, entry.tenant);
      if (served !== undefined && 'spec' in entry) continue;
      const before = served ?? own(current.tombstones, entry.tenant);
      if (before !== undefined && entry.generation < before.generation)
        return rejected(
          'stale_revision',
          `${where} takes tenant ${entry.tenant} back from generation ${before.generation} to ${entry.generation}.`,
        );
    }
  }

  const next = merge(current, offered);
  const digest = digestOfState(next);
  if (digest !== offered.digest)
    return rejected(
      'digest_mismatch',
      `${where} adds up to ${digest}, not to ${offered.digest} as was said.`,
    );
  return { kind: 'accepted', next, ...compare(current, next) };
}

function rejected(reason: RejectReason, message: string): Acceptance {
  return { kind: 'rejected', reason, message };
}

function merge(current: DesiredState, offered: Assembled): DesiredState {
  const over = offered.base === null ? { tenants: {}, tombstones: {} } : current;
  const tenants = { ...over.tenants };
  const tombstones = { ...over.tombstones };
  // Entries that did not change stay the same objects, so that their digests are not made again.
  for (const tenant of offered.tenants) {
    tenants[tenant.tenant] = same(own(current.tenants, tenant.tenant), tenant);
    delete tombstones[tenant.tenant];
  }
  for (const tombstone of offered.tombstones) {
    tombstones[tombstone.tenant] = same(own(current.tombstones, tombstone.tenant), tombstone);
    delete tenants[tombstone.tenant];
  }
  for (const name of offered.forget) {
    delete tenants[name];
    delete tombstones[name];
  }
  return { epoch: offered.epoch, revision: offered.revision, tenants, tombstones };
}

function same<T extends DesiredTenant | Tombstone>(before: T | undefined, now: T): T {
  return before !== undefined && digestOfEntry(before) === digestOfEntry(now) ? before : now;
}

function compare(before: DesiredState, after: DesiredState): { changed: string[]; orphans: string[] } {
  const changed: string[] = [];
  const orphans: string[] = [];
  const names = new Set(
    [before, after].flatMap((state) => [...Object.keys(state.tenants), ...Object.keys(state.tombstones)]),
  );
  for (const name of names) {
    if (entryOf(before, name) !== entryOf(after, name)) changed.push(name);
    const named = own(after.tenants, name) ?? own(after.tombstones, name);
    if (own(before.tenants, name) !== undefined && named === undefined) orphans.push(name);
  }
  return { changed, orphans };
}

function entryOf(state: DesiredState, name: string): string {
  const entry = own(state.tenants, name) ?? own(state.tombstones, name);
  return entry === undefined ? EMPTY_DIGEST : digestOfEntry(entry);
}

/** A tenant may be called `constructor`; what every object inherits is not its entry. */
function own<T>(record: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(record, name) ? record[name] : undefined;
}
