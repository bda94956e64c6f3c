import type { TenantStatus } from '@berth/shared/domain/status';

/** A pooled connection leads to the old colour for a second after a switch; some more for what is under way on it. */
const POOL_MS = 1_500;
/** Nginx keeps lines to itself for this long; `flush` in the folder's access_log. */
export const FLUSH_MS = 1_000;

/** Where a tenant's route leads, and since when; `generation` null: to nobody whose requests are to be counted. */
export interface Owner {
  tenant: string;
  generation: number | null;
  since: number;
  /** A change of it is under way or was made just now: somebody waits for its figures. */
  watched: boolean;
}

/** Which generation the requests of each tenant belong to. */
export interface Owners {
  /** A tenant's status as it is from now on. */
  note(status: TenantStatus, now: number): void;
  forget(tenant: string): void;
  /** Its route led to no container: requests around then say nothing of any generation. */
  blur(tenant: string, now: number): void;
  /**
   * The generation that served all lines which are read now and were not there at the read before; null when that
   * cannot be said, as around a switch.
   */
  ownerOf(tenant: string, readBefore: number): number | null;
  isWatched(tenant: string): boolean;
  /** Switches after `time`, for whoever takes over. */
  recent(time: number): Owner[];
}

/** `kept`: what `recent` of the run before said. A change it does not know of may have happened at any moment. */
export function createOwners(statuses: Iterable<TenantStatus>, kept: readonly Owner[], now: number): Owners {
  const owners = new Map<string, Owner>();
  for (const status of statuses) {
    const { tenant } = status;
    const generation = leadsTo(status);
    const known = kept.find((each) => each.tenant === tenant && each.generation === generation);
    const still = status.move.kind === 'idle' || status.move.kind === 'preparing';
    const since = known?.since ?? (still ? Number.NEGATIVE_INFINITY : now);
    owners.set(tenant, { tenant, generation, since, watched: status.move.kind !== 'idle' });
  }
  return {
    note(status, at) {
      const { tenant } = status;
      const generation = leadsTo(status);
      const before = owners.get(tenant);
      const since = before !== undefined && before.generation === generation ? before.since : at;
      owners.set(tenant, { tenant, generation, since, watched: status.move.kind !== 'idle' });
    },
    forget(tenant) {
      owners.delete(tenant);
    },
    blur(tenant, at) {
      const owner = owners.get(tenant);
      if (owner !== undefined) owner.since = at;
    },
    ownerOf(tenant, readBefore) {
      const owner = owners.get(tenant);
      if (owner === undefined || readBefore < owner.since + POOL_MS + FLUSH_MS) return null;
      return owner.generation;
    },
    isWatched: (tenant) => owners.get(tenant)?.watched ?? false,
    recent: (time) => [...owners.values()].filter((each) => each.since >= time),
  };
}

/** While it returns, what fails is the generation that is on its way out, and that has been judged already. */
function leadsTo(status: TenantStatus): number | null {
  if (status.move.kind === 'returning') return null;
  return status.move.kind === 'switched' ? status.move.generation : status.live;
}
