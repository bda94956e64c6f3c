import type { Awaited, Counts } from '@berth/shared/api/rollouts';
import type { Facts, Rollout, RolloutTenant } from './types.ts';
import { createOpenings } from './openings.ts';

export function countsOf(tenants: readonly RolloutTenant[]): Counts {
  const counts: Counts = {
    pending: 0,
    skipped: 0,
    moving: 0,
    live: 0,
    moved: 0,
    failed: 0,
    returning: 0,
    returned: 0,
    stuck: 0,
  };
  for (const { progress } of tenants) counts[progress.kind] += 1;
  return counts;
}

/** How many tenants failed, whatever became of them since. */
export function failuresOf(rollout: Rollout): number {
  return rollout.tenants.filter(hasFailed).length;
}

export function hasFailed({ progress }: RolloutTenant): boolean {
  switch (progress.kind) {
    case 'failed':
      return true;
    case 'returning':
    case 'returned':
    case 'stuck':
      return progress.cause === 'failure';
    default:
      return false;
  }
}

/** What keeps a rollout that is not paused from going on, in a sentence; null when nothing does. */
export function heldBy(rollout: Rollout, facts: Facts, now: number): string | null {
  const { state, wave } = rollout;
  if (state.kind === 'queued')
    return facts.ahead === null ? null : `It waits for rollout ${facts.ahead} of the same app.`;
  if (state.kind !== 'running' && state.kind !== 'waiting') return null;
  if (facts.frozen !== null) return `The app is frozen: ${facts.frozen}`;
  const on = rollout.waves[wave];
  if (on?.kind === 'awaiting-approval') return `Wave ${wave + 1} waits for approval: ${on.why}`;
  const rows = rollout.tenants.filter((each) => each.wave <= wave);
  if (rows.some((each) => each.progress.kind === 'moving' || each.progress.kind === 'live')) return null;
  const skipped = rows.filter((each) => each.progress.kind === 'skipped');
  const parts = [...new Set(skipped.map(reasonOf))].sort().map((reason) => {
    const these = skipped.filter((each) => reasonOf(each) === reason);
    return `${these.length} ${WORDS[reason]}${reason === 'window' ? opening(these, facts, now) : ''}`;
  });
  if (parts.length === 0) return null;
  const own = rollout.tenants.filter((each) => each.wave === wave);
  const stands =
    on?.kind === 'moving' && own.length > 0 && own.every((each) => each.progress.kind === 'skipped');
  const go = stands
    ? ` Nobody of wave ${wave + 1} can be moved now; to go on without them: berth rollout approve ${rollout.rollout}`
    : '';
  return `It waits for tenants: ${parts.join(', ')}.${go}`;
}

type Reason = Extract<RolloutTenant['progress'], { kind: 'skipped' }>['reason'];

const WORDS: Record<Reason, string> = {
  offline: 'on hosts that are offline',
  pinned: 'pinned',
  window: 'outside their window',
  paused: 'paused',
  removed: 'deleted',
  changed: 'changed by hand',
  current: 'already there',
};

function reasonOf({ progress }: RolloutTenant): Reason {
  return progress.kind === 'skipped' ? progress.reason : 'current';
}

function opening(tenants: readonly RolloutTenant[], facts: Facts, now: number): string {
  const opens = createOpenings(now);
  const times = tenants.flatMap(({ tenant }) => opens(facts.tenant(tenant)?.window ?? null)?.opensAt ?? []);
  if (times.length === 0) return '';
  const minutes = Math.max(1, Math.round((Math.min(...times) - now) / 60_000));
  return minutes < 120
    ? ` (the next opens in ${minutes} min)`
    : ` (the next opens in ${Math.round(minutes / 60)} h)`;
}

const LATE = Number.MAX_SAFE_INTEGER;
/** Of whom the reader is told by name. */
const FIRST = 5;
/** Those who come first in what is told: whose time is known, then who needs a person, then who may be back at any moment. */
const RANK: Readonly<Record<Reason, number | null>> = {
  window: 0,
  pinned: 1,
  paused: 1,
  offline: 2,
  removed: null,
  changed: null,
  current: null,
};

/**
 * Who is waited for when nothing goes on before they can be moved: nobody of the wave can be now, or every wave has passed.
 * Null when something else holds the rollout, or nothing does.
 */
export function awaitedBy(
  rollout: Rollout,
  facts: Facts,
  now: number,
): { tenants: number; first: Awaited[] } | null {
  const { state, wave } = rollout;
  if ((state.kind !== 'running' && state.kind !== 'waiting') || facts.frozen !== null) return null;
  if (state.kind === 'running' && rollout.waves[wave]?.kind !== 'moving') return null;
  const rows = rollout.tenants.filter((each) => each.wave <= wave);
  if (rows.some(({ progress }) => GOES_ON.has(progress.kind))) return null;
  const own = rows.filter((each) => each.wave === wave);
  if (state.kind === 'running' && own.some(({ progress }) => progress.kind !== 'skipped')) return null;
  const opens = createOpenings(now);
  const among = state.kind === 'running' ? own : rows;
  const awaited = among.flatMap(({ tenant, progress }) => {
    const rank = progress.kind === 'skipped' ? RANK[progress.reason] : null;
    if (progress.kind !== 'skipped' || rank === null) return [];
    const window = progress.reason === 'window' ? opens(facts.tenant(tenant)?.window ?? null) : null;
    const at = window?.opensAt ?? null;
    return [{ rank, one: { tenant, reason: progress.reason, window: window?.words ?? null, opensAt: at } }];
  });
  if (awaited.length === 0) return null;
  const first = awaited
    .toSorted((a, b) => a.rank - b.rank || (a.one.opensAt ?? LATE) - (b.one.opensAt ?? LATE))
    .slice(0, FIRST)
    .map(({ one }) => one);
  return { tenants: awaited.length, first };
}

const GOES_ON: ReadonlySet<RolloutTenant['progress']['kind']> = new Set([
  'pending',
  'moving',
  'live',
  'returning',
]);
