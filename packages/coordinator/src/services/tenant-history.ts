import type { TenantHistoryEntry, TenantHistoryShown } from '@berth/shared/api/rollouts';
import type { TenantView } from './records.ts';

/** What the agent told of a tenant, as far as histories go by it. */
export interface Told {
  kind: 'tenant.live' | 'tenant.returned' | 'tenant.failed';
  generation: number | null;
  at: number;
  message: string;
}

/** Whether the agent's own events are needed to say how these entries ended. */
export function isOpenEnded(entries: readonly TenantHistoryEntry[]): boolean {
  return entries.some((entry) => entry.ms === null);
}

/**
 * A tenant's history, newest first, with what its agent has said since: how long it took where no rollout wrote that down,
 * and a way back that is not over as `returning`. `view`: null when the tenant is no more.
 */
export function historyShown(
  entries: readonly TenantHistoryEntry[],
  view: TenantView | null,
  told: readonly Told[],
): TenantHistoryShown[] {
  return entries.map((entry, index): TenantHistoryShown => {
    if (entry.ms !== null) return { ...entry, hold: null };
    const until = entries[index - 1]?.at ?? Number.POSITIVE_INFINITY;
    const meanwhile = told.filter(({ at }) => at >= entry.at && at <= until);
    const of = meanwhile.filter(({ generation }) => generation === entry.generation);
    const back = entry.what === 'returned' || entry.what === 'rolled-back';
    const lives = of.filter(({ kind }) => kind === 'tenant.live');
    // An agent that goes back to an earlier generation names the later one, which it left.
    const left = meanwhile.filter(
      ({ kind, generation }) => kind === 'tenant.returned' && (generation ?? 0) >= entry.generation,
    );
    // Of what a rollout saw fail, it is the rollout's word that counts.
    const seen = entry.what === 'failed' ? [] : back ? [...lives, ...left] : lives;
    const served = firstOf(seen);
    const failed =
      entry.what === 'moved' ? firstOf(of.filter(({ kind }) => kind === 'tenant.failed')) : undefined;
    if (failed !== undefined && (served === undefined || failed.at > served.at))
      return { ...entry, what: 'failed', message: `${entry.message} ${failed.message}`.trim(), hold: null };
    if (served !== undefined) return { ...entry, ms: served.at - entry.at, hold: null };
    if (!back || index > 0 || view === null || isThere(view)) return { ...entry, hold: null };
    return { ...entry, what: 'returning', hold: view.connection === 'online' ? null : 'offline' };
  });
}

function firstOf(told: readonly Told[]): Told | undefined {
  return told.toSorted((a, b) => a.at - b.at)[0];
}

/** Its agent is heard, and says that what is desired now is what serves, or that it does not come to that. */
function isThere({ connection, generation, reported }: TenantView): boolean {
  if (connection !== 'online' || reported?.generation !== generation) return false;
  if (reported.phase === 'failed') return true;
  return reported.live === generation && (reported.phase === 'baking' || reported.phase === 'settled');
}
