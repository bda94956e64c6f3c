import type { RolloutState, WaveState } from '@berth/shared/domain/rollout';
import { isLeftOn } from './eligible.ts';
import type { Decision, Facts, Rollout, RolloutTenant, TenantFact } from './types.ts';

type RollingBack = Extract<RolloutState, { kind: 'rolling-back' }>;

/**
 * Returns the tenants of a wave, or of all waves, a limited number at once. Who is on its way is taken back at once, and
 * hosts that are offline are told when they return. A way back that failed is not gone again.
 */
export function takeBack(rollout: Rollout, state: RollingBack, facts: Facts, now: number): Decision[] {
  if (state.scope === 'under-way') {
    const awaited = rollout.tenants.some((row) => isReturning(row, facts));
    return awaited ? [] : [{ kind: 'state', state: { kind: 'aborted', reason: state.reason } }];
  }
  const rows = rollout.tenants.filter((each) => state.scope === 'all' || each.wave === rollout.wave);
  const returns = returnsOf(rollout, rows, state, facts, now);
  if (returns.length > 0) return returns;
  if (rows.some((row) => isAhead(row) || isReturning(row, facts))) return [];
  if (state.scope === 'wave')
    return [
      { kind: 'wave', wave: rollout.wave, state: rolledBack(rollout.waves[rollout.wave], now) },
      {
        kind: 'state',
        state: { kind: 'paused', by: 'failure', reason: `${state.reason} The wave was rolled back.` },
      },
    ];
  return [
    ...rollout.waves.flatMap((wave, index): Decision[] =>
      wave.kind === 'pending' ? [] : [{ kind: 'wave', wave: index, state: rolledBack(wave, now) }],
    ),
    { kind: 'state', state: { kind: 'rolled-back', reason: state.reason } },
  ];
}

/** The figures on which the wave was judged stay with it. */
function rolledBack(was: WaveState | undefined, now: number): WaveState {
  const traffic = was !== undefined && 'traffic' in was ? was.traffic : undefined;
  return { kind: 'rolled-back', at: now, ...(traffic === undefined ? {} : { traffic }) };
}

/** On its way back, and its host can be heard. */
function isReturning({ progress, tenant }: RolloutTenant, facts: Facts): boolean {
  return progress.kind === 'returning' && facts.tenant(tenant)?.connection === 'online';
}

function isAhead({ progress }: RolloutTenant): boolean {
  return progress.kind === 'moving' || progress.kind === 'live' || progress.kind === 'moved';
}

/** Of all waves, also those go back that nobody takes back unasked, and those whose host went away meanwhile. */
function isLeftBehind(
  rollout: Rollout,
  { scope }: RollingBack,
  row: RolloutTenant,
  fact: TenantFact | null,
): boolean {
  if (fact === null || !isLeftOn(rollout, row, fact)) return false;
  return scope === 'all' || row.progress.kind === 'skipped';
}

/** A tenant's way back, from the generation that is desired of it. */
export function wayBack(row: RolloutTenant, fact: TenantFact | null, why: string, now: number): Decision[] {
  const back: Decision = { kind: 'return', tenant: row.tenant, why: why.slice(0, 1800), cause: 'rollback' };
  if (row.progress.kind !== 'skipped' || fact === null) return [back];
  const progress = { kind: 'moving', generation: fact.generation, since: now } as const;
  return [{ kind: 'progress', tenant: row.tenant, progress }, back];
}

/** Of a whole rollout the reason begins with who took it back, unless an older coordinator wrote a sentence. */
function whyBack({ scope, reason }: RollingBack): string {
  return scope === 'all' && reason.startsWith('by ') ? `The rollout was rolled back ${reason}` : reason;
}

function returnsOf(
  rollout: Rollout,
  rows: readonly RolloutTenant[],
  state: RollingBack,
  facts: Facts,
  now: number,
): Decision[] {
  const underWay = new Map<string, number>();
  let returning = 0;
  for (const row of rollout.tenants) {
    const fact = facts.tenant(row.tenant);
    if (row.progress.kind !== 'returning' || fact?.connection !== 'online') continue;
    returning += 1;
    underWay.set(fact.host, (underWay.get(fact.host) ?? 0) + 1);
  }
  const { atOnce, perHost } = rollout.policy;
  const decisions: Decision[] = [];
  // The last that moved go back first.
  for (const row of [...rows].reverse()) {
    const fact = facts.tenant(row.tenant);
    if (!isAhead(row) && !isLeftBehind(rollout, state, row, fact)) continue;
    const gone = goneReason(row, fact);
    if (gone !== null) {
      decisions.push({ kind: 'progress', tenant: row.tenant, progress: { kind: 'skipped', reason: gone } });
      continue;
    }
    const host = fact?.host ?? '';
    const free = row.progress.kind === 'moving' || fact?.connection !== 'online';
    const here = underWay.get(host) ?? 0;
    if (!free && (returning >= atOnce || here >= perHost)) continue;
    if (!free) {
      returning += 1;
      underWay.set(host, here + 1);
    }
    decisions.push(...wayBack(row, fact, whyBack(state), now));
  }
  return decisions;
}

/** Deleted, or changed by somebody since it was moved: not ours to take back. */
function goneReason(
  { progress }: RolloutTenant,
  fact: ReturnType<Facts['tenant']>,
): 'removed' | 'changed' | null {
  if (fact === null || fact.state === 'removing') return 'removed';
  if (progress.kind !== 'moving' && progress.kind !== 'live' && progress.kind !== 'moved') return null;
  return fact.generation === progress.generation ? null : 'changed';
}
