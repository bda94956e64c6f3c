import type { TenantStatus } from '@berth/shared/domain/status';
import type { Span } from './lines.ts';

/**
 * A pooled connection leads to the old colour for up to two seconds after a switch: Nginx keeps one that is up to a second
 * old, and keeps it for a second. Whoever counts them may know better.
 */
const POOL_MS = 2_000;
/** The kernel switches a little before the agent says so. */
const BEFORE_MS = 500;
/** Nginx keeps lines to itself for this long; `flush` in the folder's access_log. */
export const FLUSH_MS = 1_000;
/** A request is looked at by its time for so long after a switch: longer than an old colour is drained. */
export const HISTORY_MS = 3_600_000;
/** Before it was seen for the first time, the maintenance page may have been there for a read and a kept line. */
const UNSEEN_MS = 3_000;
const MAX_CHANGES = 32;

/** Where a tenant's route led from then on; `generation` null: to nobody whose requests are to be counted. */
export interface Owner {
  tenant: string;
  generation: number | null;
  /** Milliseconds since 1970; 0 for ever. */
  since: number;
  /** Since when no connection leads to who served before; absent where nobody has seen it. */
  clear?: number | undefined;
  /** A change of it is under way or was made just now: somebody waits for its figures. */
  watched: boolean;
}

/** Which generation the requests of each tenant belong to. */
export interface Owners {
  /** A tenant's status as it is from now on. */
  note(status: TenantStatus, now: number): void;
  forget(tenant: string): void;
  /** At that time no connection led to any of its containers but those that serve now. */
  cleared(tenant: string, at: number): void;
  /** Its route led to no container: requests around then say nothing of any generation. */
  blur(tenant: string, now: number): void;
  /** The generation that all requests which are read now belong to, or when each of several served. */
  servedBy(tenant: string, now: number): number | null | readonly Span[];
  /** Generations that served at some time since then, by tenant. */
  servingSince(time: number): { tenant: string; generation: number }[];
  isWatched(tenant: string): boolean;
  /** What whoever takes over must know, in order. */
  recent(now: number): Owner[];
}

interface Change {
  generation: number | null;
  since: number;
  clear?: number | undefined;
}

interface Known {
  /** In order; the last one is in force. */
  changes: Change[];
  watched: boolean;
  spans: readonly Span[] | null;
  /** While nothing was heard of it since this agent began: until when the agent before had read. */
  unheardSince: number | null;
}

/**
 * `kept`: what `recent` of the run before said, which had read until `readAt` (null: nobody read before). A change it does not know of may have
 * happened at any moment since.
 */
export function createOwners(
  statuses: Iterable<TenantStatus>,
  kept: readonly Owner[],
  now: number,
  readAt: number | null = null,
): Owners {
  const owners = new Map<string, Known>();
  const before = Map.groupBy(kept, (each) => each.tenant);
  for (const status of statuses) {
    const { tenant, move } = status;
    const generation = leadsTo(status);
    const changes: Change[] = (before.get(tenant) ?? []).map((each) => ({
      generation: each.generation,
      since: each.since,
      clear: each.clear,
    }));
    const still = move.kind === 'idle' || move.kind === 'preparing';
    if (changes.length === 0 && still) changes.push({ generation, since: 0 });
    else if (changes.at(-1)?.generation !== generation) {
      const unknown = Math.max(changes.at(-1)?.since ?? 0, changes.length === 0 ? 0 : (readAt ?? now));
      changes.push({ generation: null, since: unknown }, { generation, since: Math.max(unknown, now) });
    }
    owners.set(tenant, { changes, watched: move.kind !== 'idle', spans: null, unheardSince: readAt });
  }

  function change(known: Known, generation: number | null, at: number): void {
    const last = known.changes.at(-1);
    const since = Math.max(at, last?.since ?? 0);
    // Where nobody has ever served, no connection leads to anybody else.
    const first = last?.generation === null && last.since === 0;
    known.changes.push({ generation, since, ...(first ? { clear: since } : {}) });
    if (known.changes.length > MAX_CHANGES) known.changes.shift();
    known.spans = null;
  }

  return {
    note(status, at) {
      const { tenant } = status;
      const generation = leadsTo(status);
      const watched = status.move.kind !== 'idle';
      const known = owners.get(tenant);
      if (known === undefined) {
        const changes: Change[] = [{ generation: null, since: 0 }];
        const made: Known = { changes, watched, spans: null, unheardSince: null };
        if (generation !== null) change(made, generation, at);
        owners.set(tenant, made);
        return;
      }
      known.watched = watched;
      if (known.changes.at(-1)?.generation !== generation) {
        // A switch that the agent before made and could not write down is told only now.
        if (known.unheardSince !== null) change(known, null, known.unheardSince);
        change(known, generation, at);
      }
      known.unheardSince = null;
    },
    forget(tenant) {
      owners.delete(tenant);
    },
    cleared(tenant, at) {
      const known = owners.get(tenant);
      const last = known?.changes.at(-1);
      if (known === undefined || last === undefined || last.since === 0) return;
      if (at < last.since || (last.clear ?? last.since + POOL_MS) <= at) return;
      last.clear = at;
      known.spans = null;
    },
    blur(tenant, at) {
      const known = owners.get(tenant);
      const last = known?.changes.at(-1);
      if (known === undefined || last === undefined || last.generation === null) return;
      const gap = known.changes.at(-2);
      if (gap?.generation === null && gap.since > 0 && at - last.since < UNSEEN_MS) {
        last.since = Math.max(last.since, at);
        last.clear = undefined;
        known.spans = null;
        return;
      }
      change(known, null, at - UNSEEN_MS);
      change(known, last.generation, at);
    },
    servedBy(tenant, at) {
      const known = owners.get(tenant);
      if (known === undefined) return null;
      const { changes } = known;
      while (changes.length > 1 && (changes[1]?.since ?? 0) + POOL_MS < at - HISTORY_MS) {
        changes.shift();
        known.spans = null;
      }
      const [first] = changes;
      if (changes.length === 1 && first !== undefined) return first.generation;
      return (known.spans ??= spansOf(changes));
    },
    servingSince(time) {
      return [...owners].flatMap(([tenant, { changes }]) => {
        const recent = changes.filter(
          (each, index) => each.generation !== null && (changes[index + 1]?.since ?? time) + POOL_MS >= time,
        );
        const generations = new Set(
          recent.flatMap(({ generation }) => (generation === null ? [] : [generation])),
        );
        return [...generations].map((generation) => ({ tenant, generation }));
      });
    },
    isWatched: (tenant) => owners.get(tenant)?.watched ?? false,
    recent: (at) =>
      [...owners].flatMap(([tenant, { changes, watched }]) =>
        (changes.at(-1)?.since ?? 0) < at - HISTORY_MS
          ? []
          : changes.map((each) => ({ tenant, ...each, watched })),
      ),
  };
}

/** Times in which nothing was near a change. */
function spansOf(changes: readonly Change[]): Span[] {
  return changes.flatMap(({ generation, since, clear }, index) => {
    if (generation === null) return [];
    const next = changes[index + 1];
    const from = since === 0 ? 0 : (clear ?? since + POOL_MS);
    const to = next === undefined ? Number.POSITIVE_INFINITY : next.since - BEFORE_MS;
    return from <= to ? [{ from, to, generation }] : [];
  });
}

/** While it returns, what fails is the generation that is on its way out, and that has been judged already. */
function leadsTo(status: TenantStatus): number | null {
  if (status.move.kind === 'returning') return null;
  return status.move.kind === 'switched' ? status.move.generation : status.live;
}
