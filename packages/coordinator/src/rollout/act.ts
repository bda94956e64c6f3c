import { isOver, isQueued } from '@berth/shared/domain/rollout';
import { failuresOf } from './counts.ts';
import { isLeftOn } from './eligible.ts';
import { wayBack } from './take-back.ts';
import type { Decision, Facts, Rollout, RolloutTenant, TenantFact } from './types.ts';

export interface Action {
  kind: 'pause' | 'resume' | 'approve' | 'retry' | 'abort' | 'rollback';
  by: string;
  reason: string | null;
  /** What the operator agrees to go back past. */
  past: 'nothing' | 'irreversible';
}

/** `forgiven`: failures that count no more from now on. */
export type Acted =
  { kind: 'decided'; decisions: Decision[]; forgiven: number } | { kind: 'refused'; why: string };

/** Tenants whose facts `act` asks for. */
export function actsOn(rollout: Rollout): string[] {
  return rollout.tenants
    .filter(({ progress: { kind } }) => kind === 'skipped' || kind === 'failed')
    .map((row) => row.tenant);
}

/** What an operator's word means for a rollout, or why it cannot be followed. */
export function act(rollout: Rollout, action: Action, tenant: Facts['tenant'], now: number): Acted {
  const { state } = rollout;
  if (isOver(state)) {
    const again = `Start another one: "berth rollout start ${rollout.app} --to RELEASE".`;
    return refused(
      `Rollout ${rollout.rollout} is over (${state.kind}) and does not change any more. ${again}`,
    );
  }
  const why = `${action.by}${action.reason === null ? '' : `: ${action.reason}`}`;
  switch (action.kind) {
    case 'pause':
      return pause(rollout, `by ${why}`);
    case 'resume':
      return resume(rollout, now);
    case 'approve':
      return approve(rollout, action.by, now);
    case 'retry':
      return retry(rollout, tenant, now);
    case 'abort':
      return abort(rollout, tenant, action.past, `by ${why}`, now);
    case 'rollback':
      if (state.kind === 'rolling-back' && state.scope === 'all')
        return refused(`Rollout ${rollout.rollout} is being rolled back already.`);
      // It has moved nobody, and those it names may be on their way in the rollout before it.
      if (isQueued(state))
        return decided(rollout, [
          { kind: 'state', state: { kind: 'rolled-back', reason: `by ${why}`.slice(0, 1800) } },
        ]);
      if (rollout.reversal === 'irreversible' && action.past !== 'irreversible')
        return refused(`${irreversible(rollout)} Add --past-irreversible if you are sure.`);
      return decided(rollout, [
        {
          kind: 'state',
          state: { kind: 'rolling-back', scope: 'all', reason: `by ${why}`.slice(0, 1800) },
        },
      ]);
  }
}

function irreversible({ to }: Rollout): string {
  return `The release command of release ${to} is marked irreversible: data may be of a shape that the old release cannot read.`;
}

function pause(rollout: Rollout, reason: string): Acted {
  const { rollout: number, state } = rollout;
  if (state.kind === 'paused') return refused(`Rollout ${number} is paused already.`);
  if (state.kind !== 'running' && state.kind !== 'waiting' && state.kind !== 'queued')
    return refused(`Rollout ${number} is ${state.kind} and cannot be paused.`);
  const from = state.kind === 'queued' ? { from: 'queued' as const } : {};
  return decided(rollout, [{ kind: 'state', state: { kind: 'paused', by: 'operator', reason, ...from } }]);
}

/** Who serves stays; who does not yet goes back, and the rollout is over when all of those are. */
function abort(
  rollout: Rollout,
  tenant: Facts['tenant'],
  past: Action['past'],
  by: string,
  now: number,
): Acted {
  const { state, wave } = rollout;
  if (state.kind === 'rolling-back' && state.scope === 'under-way')
    return refused(`Rollout ${rollout.rollout} is being aborted already.`);
  const returns = rollout.tenants.flatMap((row): Decision[] => {
    const fact = tenant(row.tenant);
    const begun =
      row.progress.kind === 'moving' ||
      (row.progress.kind === 'skipped' && fact !== null && isLeftOn(rollout, row, fact));
    return begun ? wayBack(row, fact, `The rollout was aborted ${by}`, now) : [];
  });
  if (returns.length > 0 && rollout.reversal === 'irreversible' && past !== 'irreversible')
    return refused(
      `${irreversible(rollout)} Those under way would go back past it. Add --past-irreversible if you are sure, or let them finish: "berth rollout pause ${rollout.rollout}", and abort when nobody is under way.`,
    );
  const awaited = returns.length > 0 || rollout.tenants.some((row) => row.progress.kind === 'returning');
  const on = rollout.waves[wave]?.kind;
  const ends: Decision[] =
    on === 'moving' || on === 'baking' || on === 'awaiting-approval'
      ? [{ kind: 'wave', wave, state: { kind: 'aborted', at: now } }]
      : [];
  const reason = by.slice(0, 1800);
  return decided(rollout, [
    ...returns,
    ...ends,
    awaited
      ? { kind: 'state', state: { kind: 'rolling-back', scope: 'under-way', reason } }
      : { kind: 'state', state: { kind: 'aborted', reason } },
  ]);
}

function resume(rollout: Rollout, now: number): Acted {
  const { state, wave } = rollout;
  if (state.kind !== 'paused') return refused(`Rollout ${rollout.rollout} is ${state.kind}, not paused.`);
  if (state.from === 'queued') return decided(rollout, [{ kind: 'state', state: { kind: 'queued' } }]);
  const on = rollout.waves[wave];
  if (on?.kind === 'rolled-back')
    return refused(
      `Wave ${wave + 1} was rolled back; try it again with "berth rollout retry", or end the rollout with "berth rollout abort".`,
    );
  const decisions: Decision[] =
    on?.kind === 'failed' ? [{ kind: 'wave', wave, state: { kind: 'moving', since: now } }] : [];
  return {
    kind: 'decided',
    decisions: [...decisions, { kind: 'state', state: { kind: 'running' } }],
    forgiven: failuresOf(rollout),
  };
}

function approve(rollout: Rollout, by: string, now: number): Acted {
  const { state, wave } = rollout;
  const on = rollout.waves[wave];
  if (state.kind === 'paused') {
    const asks = on?.kind === 'awaiting-approval' || isOutOfReach(rollout);
    const then = asks ? `, then approve wave ${wave + 1} with this command again` : '';
    const how = on?.kind === 'rolled-back' ? 'retry' : 'resume';
    return refused(
      `Rollout ${rollout.rollout} is paused, and nothing of it begins before it goes on. First: "berth rollout ${how} ${rollout.rollout}"${then}.`,
    );
  }
  if (state.kind === 'queued')
    return refused(
      `Rollout ${rollout.rollout} waits for the rollout of ${rollout.app} before it; there is nothing to approve yet. See "berth rollout status ${rollout.app}".`,
    );
  if (state.kind !== 'running') return refused(`Rollout ${rollout.rollout} is ${state.kind}, not running.`);
  if (on?.kind === 'awaiting-approval')
    return decided(rollout, [{ kind: 'wave', wave, state: { kind: 'moving', since: now } }]);
  // Whoever says "go on" takes the wave as passed.
  if (isOutOfReach(rollout))
    return decided(rollout, [
      {
        kind: 'wave',
        wave,
        state: { kind: 'passed', at: now, judged: `not judged: it moved no tenant; let go by ${by}` },
      },
    ]);
  return refused(`Nothing of rollout ${rollout.rollout} waits for approval.`);
}

/** Nobody of the wave that is on can be moved now. */
function isOutOfReach({ waves, wave, tenants }: Rollout): boolean {
  const own = tenants.filter((each) => each.wave === wave);
  return waves[wave]?.kind === 'moving' && own.every(({ progress }) => progress.kind === 'skipped');
}

function retry(rollout: Rollout, tenant: Facts['tenant'], now: number): Acted {
  const { state, wave } = rollout;
  if (state.kind !== 'paused' && state.kind !== 'waiting' && state.kind !== 'running')
    return refused(`Rollout ${rollout.rollout} is ${state.kind}; nothing can be tried again.`);
  const again = rollout.tenants.filter((row) => row.wave <= wave && isOut(row));
  const on = rollout.waves[wave];
  const halted = on?.kind === 'failed' || on?.kind === 'rolled-back';
  if (again.length === 0 && !halted)
    return refused(`No tenant of rollout ${rollout.rollout} has failed or was returned.`);
  const pending = again.map((row): Decision => {
    const fact = tenant(row.tenant);
    // One that stayed is where it should be, or on its way: it is watched again, and not taken for somebody else's.
    const progress =
      fact !== null && stayed(rollout, row, fact)
        ? ({ kind: 'moving', generation: fact.generation, since: now } as const)
        : ({ kind: 'pending' } as const);
    return { kind: 'progress', tenant: row.tenant, progress };
  });
  return {
    kind: 'decided',
    decisions: [
      ...pending,
      ...(halted ? [{ kind: 'wave', wave, state: { kind: 'moving', since: now } } as const] : []),
      { kind: 'state', state: { kind: 'running' } },
    ],
    // Who is pending again has not failed any more.
    forgiven: 0,
  };
}

function stayed(rollout: Rollout, { progress }: RolloutTenant, fact: TenantFact): boolean {
  return (
    progress.kind === 'failed' &&
    progress.stays !== null &&
    fact.release === rollout.to &&
    fact.state === 'running'
  );
}

function isOut({ progress }: RolloutTenant): boolean {
  return progress.kind === 'failed' || progress.kind === 'returned' || progress.kind === 'stuck';
}

function decided(rollout: Rollout, decisions: Decision[]): Acted {
  return { kind: 'decided', decisions, forgiven: rollout.forgiven };
}

function refused(why: string): Acted {
  return { kind: 'refused', why };
}
