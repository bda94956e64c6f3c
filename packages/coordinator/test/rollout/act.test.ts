import { describe, expect, test } from 'vitest';
import {
  RolloutPolicy,
  type RolloutState,
  type TenantProgress,
  type WaveState,
} from '@berth/shared/domain/rollout';
import { parseWindow } from '@berth/shared/domain/window';
import { act, type Action } from '../../src/rollout/act.ts';
import { advance } from '../../src/rollout/advance.ts';
import { awaitedBy, heldBy } from '../../src/rollout/counts.ts';
import { fold } from '../../src/rollout/fold.ts';
import type { Facts, Rollout, TenantFact } from '../../src/rollout/types.ts';

const NOW = 1_000_000;

function rolloutOf(given: {
  state?: RolloutState;
  wave?: number;
  waves?: WaveState[];
  progress: TenantProgress[];
  policy?: Partial<RolloutPolicy>;
  reversal?: Rollout['reversal'];
}): Rollout {
  const waves = given.waves ?? [{ kind: 'moving', since: 0 }];
  return {
    rollout: 5,
    app: 'shop',
    to: 13,
    policy: RolloutPolicy.parse({
      waves: waves.map(() => ({ target: { kind: 'share', percent: 100 } })),
      ...given.policy,
    }),
    state: given.state ?? { kind: 'running' },
    wave: given.wave ?? 0,
    waves,
    forgiven: 0,
    reversal: given.reversal ?? 'free',
    tenants: given.progress.map((progress, position) => ({
      tenant: `t${position}`,
      wave: 0,
      position,
      fromRelease: 12,
      fromGeneration: 1,
      progress,
      before: null,
    })),
  };
}

function factsOf(each: Partial<TenantFact> = {}, frozen: string | null = null): Facts {
  return {
    frozen,
    ahead: null,
    counted: () => ({ kind: 'complete' }),
    tenant: () => ({
      host: 'h1',
      connection: 'online',
      release: 12,
      generation: 1,
      state: 'running',
      pinned: null,
      window: null,
      reported: null,
      after: null,
      ...each,
    }),
  };
}

const problem = { code: 'health_failed', message: 'it does not answer' } as const;
const failed: TenantProgress = { kind: 'failed', generation: 2, at: 0, problem, stays: null };
const moving: TenantProgress = { kind: 'moving', generation: 2, since: NOW };
const live: TenantProgress = { kind: 'live', generation: 2, since: NOW };
const halted: RolloutState = { kind: 'paused', by: 'failure', reason: 'Wave 1: it failed' };

const order = (kind: Action['kind'], past: Action['past'] = 'nothing'): Action => ({
  kind,
  by: 'ada',
  reason: null,
  past,
});

function decisionsOf(rollout: Rollout, action: Action, facts: Facts = factsOf()) {
  const acted = act(rollout, action, facts.tenant, NOW);
  if (acted.kind === 'refused') throw new Error(acted.why);
  return acted;
}

describe('an operator', () => {
  test('pauses: nothing new begins, and what is under way is watched on', () => {
    const before = rolloutOf({ progress: [moving, { kind: 'pending' }] });
    const { decisions } = decisionsOf(before, order('pause'));
    const paused = fold(before, decisions, { progress: () => null, before: () => null });
    expect(paused.state).toMatchObject({ kind: 'paused', by: 'operator' });
    const said = { generation: 2, live: 2, phase: 'baking', problem: null } as const;
    expect(advance(paused, factsOf({ release: 13, generation: 2, reported: said }), NOW)).toMatchObject([
      { kind: 'progress', tenant: 't0', progress: { kind: 'live' } },
    ]);
  });

  test('goes on after a halt, and what failed until then counts no more', () => {
    const before = rolloutOf({
      state: halted,
      waves: [{ kind: 'failed', at: 0, why: 'it failed' }],
      progress: [failed, { kind: 'pending' }],
    });
    const acted = decisionsOf(before, order('resume'));
    const after = {
      ...fold(before, acted.decisions, { progress: () => null, before: () => null }),
      forgiven: acted.forgiven,
    };
    expect(advance(after, factsOf(), NOW)).toEqual([{ kind: 'begin', tenant: 't1' }]);
  });

  test('tries failed tenants again, which then have not failed', () => {
    const before = rolloutOf({
      state: halted,
      waves: [{ kind: 'rolled-back', at: 0 }],
      progress: [failed, { kind: 'returned', generation: 1, at: 0, why: 'x', cause: 'rollback' }],
    });
    const acted = decisionsOf(before, order('retry'));
    const after = fold(before, acted.decisions, { progress: () => null, before: () => null });
    expect(after.tenants.map(({ progress }) => progress.kind)).toEqual(['pending', 'pending']);
    expect(advance(after, factsOf(), NOW)).toEqual([{ kind: 'begin', tenant: 't0' }]);
  });

  test('has a tenant of unknown outcome watched again, also one that serves by now', () => {
    const stays: TenantProgress = { ...failed, stays: 'somebody has to say' };
    const before = rolloutOf({
      state: halted,
      waves: [{ kind: 'failed', at: 0, why: 'x' }],
      progress: [stays],
    });
    const reported = { generation: 2, live: 2, phase: 'settled', problem: null } as const;
    const facts = factsOf({ release: 13, generation: 2, reported });
    const acted = decisionsOf(before, order('retry'), facts);
    const after = fold(before, acted.decisions, { progress: () => null, before: () => null });
    expect(after.tenants[0]?.progress).toMatchObject({ kind: 'moving', generation: 2 });
    expect(advance(after, facts, NOW)).toMatchObject([
      { kind: 'progress', tenant: 't0', progress: { kind: 'live', generation: 2 } },
    ]);
  });

  test('takes back also who had been begun when his host went away, and who failed and stays', () => {
    const stays: TenantProgress = { ...failed, stays: 'somebody has to say' };
    const away: TenantProgress = { kind: 'skipped', reason: 'offline' };
    const before = rolloutOf({
      state: { kind: 'rolling-back', scope: 'all', reason: 'not today' },
      progress: [away, stays, failed],
    });
    const left = factsOf({ release: 13, generation: 2, connection: 'offline' });
    const decisions = advance(before, left, NOW);
    expect(decisions.flatMap((each) => (each.kind === 'return' ? [each.tenant] : []))).toEqual(['t1', 't0']);
    // From which generation it goes back has to be known.
    expect(decisions).toContainEqual({
      kind: 'progress',
      tenant: 't0',
      progress: { kind: 'moving', generation: 2, since: NOW },
    });
    // Who had not been begun has nothing to go back from.
    const old = advance(before, factsOf({ connection: 'offline' }), NOW);
    expect(old.filter((each) => each.kind === 'return')).toEqual([]);
  });

  test('takes back at an abort who had been begun when his host went away', () => {
    const away: TenantProgress = { kind: 'skipped', reason: 'offline' };
    const before = rolloutOf({ progress: [away] });
    const left = factsOf({ release: 13, generation: 2, connection: 'offline' });
    expect(decisionsOf(before, order('abort'), left).decisions).toContainEqual(
      expect.objectContaining({ kind: 'return', tenant: 't0' }),
    );
    expect(decisionsOf(before, order('abort')).decisions.at(-1)).toMatchObject({
      kind: 'state',
      state: { kind: 'aborted' },
    });
  });

  test('who changed a tenant keeps it, also when it has its old release again', () => {
    const rollout = rolloutOf({ progress: [{ kind: 'skipped', reason: 'changed' }, live] });
    expect(advance(rollout, factsOf({ generation: 2 }), NOW)).toEqual([
      expect.objectContaining({ kind: 'wave' }),
    ]);
  });

  test('aborts: who does not serve yet goes back, who serves stays, and it is over when all are back', () => {
    const before = rolloutOf({ progress: [live, moving] });
    const { decisions } = decisionsOf(before, order('abort'));
    expect(decisions).toMatchObject([
      { kind: 'return', tenant: 't1' },
      { kind: 'wave', state: { kind: 'aborted' } },
      { kind: 'state', state: { kind: 'rolling-back', scope: 'under-way' } },
    ]);
    const back = { kind: 'returning', generation: 1, since: NOW, why: 'x', cause: 'rollback' } as const;
    const after = rolloutOf({
      progress: [back],
      state: { kind: 'rolling-back', scope: 'under-way', reason: 'by ada' },
    });
    expect(advance(after, factsOf(), NOW)).toEqual([]);
    const said = { generation: 1, live: 1, phase: 'settled', problem: null } as const;
    const seen = advance(after, factsOf({ reported: said }), NOW);
    const returned = fold(after, seen, { progress: () => null, before: () => null });
    expect(returned.tenants[0]?.progress.kind).toBe('returned');
    expect(advance(returned, factsOf(), NOW)).toMatchObject([{ kind: 'state', state: { kind: 'aborted' } }]);
  });

  test('is asked before the wave behind one that was to be approved and has no tenants', () => {
    const asked = { target: { kind: 'count', count: 1 }, approval: 'ask' } as const;
    const rollout = rolloutOf({
      progress: [{ kind: 'pending' }],
      wave: 1,
      waves: [{ kind: 'passed', at: 0, judged: 'x' }, { kind: 'pending' }],
      policy: { waves: [asked, { target: { kind: 'share', percent: 100 }, approval: 'none' }] },
    });
    const [row] = rollout.tenants;
    if (row === undefined) throw new Error('no tenant');
    expect(advance({ ...rollout, tenants: [{ ...row, wave: 1 }] }, factsOf(), NOW)).toMatchObject([
      { kind: 'wave', wave: 1, state: { kind: 'awaiting-approval' } },
    ]);
  });

  test('cannot roll back what is rolled back, or over', () => {
    const back = rolloutOf({ state: { kind: 'rolled-back', reason: 'x' }, progress: [] });
    expect(act(back, order('rollback'), factsOf().tenant, NOW)).toMatchObject({ kind: 'refused' });
    const under = rolloutOf({ state: { kind: 'rolling-back', scope: 'all', reason: 'x' }, progress: [] });
    expect(act(under, order('rollback'), factsOf().tenant, NOW)).toMatchObject({ kind: 'refused' });
  });

  test('goes back past an irreversible release command only when told so', () => {
    const before = rolloutOf({ progress: [live], reversal: 'irreversible' });
    expect(act(before, order('rollback'), factsOf().tenant, NOW)).toMatchObject({
      kind: 'refused',
      why: expect.stringContaining('irreversible'),
    });
    expect(act(before, order('rollback', 'irreversible'), factsOf().tenant, NOW)).toMatchObject({
      kind: 'decided',
    });
  });

  test('aborts past an irreversible release command only when told so, and freely when nobody is under way', () => {
    const before = rolloutOf({ progress: [live, moving], reversal: 'irreversible' });
    expect(act(before, order('abort'), factsOf().tenant, NOW)).toMatchObject({
      kind: 'refused',
      why: expect.stringMatching(/irreversible.*--past-irreversible.*berth rollout pause 5/),
    });
    expect(decisionsOf(before, order('abort', 'irreversible')).decisions).toContainEqual(
      expect.objectContaining({ kind: 'return', tenant: 't1' }),
    );
    const quiet = rolloutOf({ progress: [live], reversal: 'irreversible' });
    expect(decisionsOf(quiet, order('abort')).decisions.at(-1)).toMatchObject({
      state: { kind: 'aborted' },
    });
  });

  test('pauses one that is queued, and it is queued again when it is resumed', () => {
    const queued = rolloutOf({ state: { kind: 'queued' }, progress: [{ kind: 'pending' }] });
    const paused = rolloutOf({
      state: { kind: 'paused', by: 'operator', reason: 'by ada', from: 'queued' },
      progress: [{ kind: 'pending' }],
    });
    expect(decisionsOf(queued, order('pause')).decisions).toEqual([{ kind: 'state', state: paused.state }]);
    expect(advance(paused, factsOf(), NOW)).toEqual([]);
    expect(decisionsOf(paused, order('resume')).decisions).toEqual([
      { kind: 'state', state: { kind: 'queued' } },
    ]);
    expect(decisionsOf(paused, order('rollback')).decisions).toMatchObject([
      { kind: 'state', state: { kind: 'rolled-back' } },
    ]);
  });

  test('who approves a wave of a paused rollout hears what comes first', () => {
    const asks = rolloutOf({
      state: { kind: 'paused', by: 'operator', reason: 'by ada' },
      waves: [{ kind: 'awaiting-approval', why: 'it was asked for' }],
      progress: [{ kind: 'pending' }],
    });
    expect(act(asks, order('approve'), factsOf().tenant, NOW)).toEqual({
      kind: 'refused',
      why: 'Rollout 5 is paused, and nothing of it begins before it goes on. First: "berth rollout resume 5", then approve wave 1 with this command again.',
    });
    const stands = rolloutOf({ state: asks.state, progress: [{ kind: 'skipped', reason: 'window' }] });
    const goes = rolloutOf({ state: asks.state, progress: [moving] });
    for (const [paused, again] of [
      [stands, true],
      [goes, false],
    ] as const) {
      const acted = act(paused, order('approve'), factsOf().tenant, NOW);
      expect(acted.kind === 'refused' && acted.why.includes('approve wave 1')).toBe(again);
    }
  });

  test('lets a wave go in which nobody can be moved', () => {
    const stuck = rolloutOf({ progress: [{ kind: 'skipped', reason: 'offline' }] });
    expect(heldBy(stuck, factsOf({ connection: 'offline' }), NOW)).toBe(
      'It waits for tenants: 1 on hosts that are offline. Nobody of wave 1 can be moved now; to go on without them: berth rollout approve 5',
    );
    expect(decisionsOf(stuck, order('approve')).decisions).toMatchObject([
      { kind: 'wave', state: { kind: 'passed', judged: expect.stringContaining('not judged') } },
    ]);
  });
});

describe('a rollout', () => {
  test('keeps the figures on which a wave was judged, also when the wave went back', () => {
    const look = { requests: 100, errors: 0, latency: [100, ...Array.from({ length: 23 }, () => 0)] };
    const facts = factsOf({ release: 13, generation: 2, after: look });
    const baking = rolloutOf({ waves: [{ kind: 'baking', since: 0, until: NOW - 1 }], progress: [live] });
    const rows = baking.tenants.map((row) => ({ ...row, before: look }));
    const served: TenantProgress = { kind: 'live', generation: 2, since: 0 };
    const traffic = { before: look, after: look, verdict: { kind: 'good' } };
    const passing = {
      ...baking,
      policy: { ...baking.policy, bakeMs: 0 },
      tenants: rows.map((row) => ({ ...row, progress: served })),
    };
    expect(advance(passing, facts, NOW)).toContainEqual({
      kind: 'wave',
      wave: 0,
      state: { kind: 'passed', at: NOW, judged: 'good', traffic },
    });
    const after = { ...look, errors: 50 };
    const failing = {
      ...passing,
      policy: { ...passing.policy, onFailure: 'rollback' as const, maxFailures: 9 },
    };
    const own = factsOf({ release: 13, generation: 2, after, reported: null });
    // The tenant itself is taken back as well; here the wave is judged before that.
    const halted = { ...failing, tenants: failing.tenants.map((row) => ({ ...row, progress: failed })) };
    expect(advance({ ...halted, policy: { ...halted.policy, maxFailures: 0 } }, own, NOW)[0]).toMatchObject({
      state: { kind: 'failed' },
    });
    const bad = { before: look, after, verdict: { kind: 'bad' as const, why: 'x' } };
    const back = {
      ...halted,
      state: { kind: 'rolling-back' as const, scope: 'wave' as const, reason: 'x' },
      waves: [{ kind: 'failed' as const, at: 0, why: 'x', traffic: bad }],
    };
    expect(advance(back, factsOf(), NOW)[0]).toEqual({
      kind: 'wave',
      wave: 0,
      state: { kind: 'rolled-back', at: NOW, traffic: bad },
    });
  });

  test('says who is waited for when nobody of its wave can be moved now, whose window opens first at the front', () => {
    const skips = (...reasons: ('window' | 'offline' | 'pinned')[]): TenantProgress[] =>
      reasons.map((reason) => ({ kind: 'skipped', reason }));
    const windows = ['daily 03:00-04:00 UTC', 'daily 02:00-02:30 UTC'];
    const facts: Facts = {
      ...factsOf(),
      tenant: (name) => {
        const fact = factsOf().tenant(name);
        const parsed = parseWindow(windows[Number(name.slice(1))] ?? '');
        return fact === null ? null : { ...fact, window: parsed.ok ? parsed.window : null };
      },
    };
    const outside = rolloutOf({ progress: skips('window', 'window', 'offline') });
    expect(awaitedBy(outside, facts, NOW)).toEqual({
      tenants: 3,
      first: [
        { tenant: 't1', reason: 'window', window: 'daily 02:00-02:30 UTC', opensAt: 7_200_000 },
        { tenant: 't0', reason: 'window', window: 'daily 03:00-04:00 UTC', opensAt: 10_800_000 },
        { tenant: 't2', reason: 'offline', window: null, opensAt: null },
      ],
    });
    expect(awaitedBy(outside, { ...facts, frozen: 'x' }, NOW)).toBeNull();
    for (const other of [moving, live, { kind: 'pending' } as const])
      expect(awaitedBy(rolloutOf({ progress: [...skips('window'), other] }), facts, NOW)).toBeNull();
  });

  test('halts when one more has failed than may, and rolls its wave back when it was told to', () => {
    const rollout = rolloutOf({ progress: [failed, live], policy: { onFailure: 'rollback' } });
    const facts = factsOf({ release: 13, generation: 2 });
    const decisions = advance(rollout, facts, NOW);
    expect(decisions).toMatchObject([
      { kind: 'wave', state: { kind: 'failed' } },
      { kind: 'state', state: { kind: 'rolling-back', scope: 'wave' } },
    ]);
    const back = fold(rollout, decisions, { progress: () => null, before: () => null });
    expect(advance(back, facts, NOW)).toMatchObject([{ kind: 'return', tenant: 't1', cause: 'rollback' }]);
  });

  test('does not go back past an irreversible release command by itself, and says so', () => {
    const rollout = rolloutOf({
      progress: [failed, live],
      policy: { onFailure: 'rollback' },
      reversal: 'irreversible',
    });
    expect(advance(rollout, factsOf({ release: 13, generation: 2 }), NOW)).toMatchObject([
      { kind: 'wave', state: { kind: 'failed' } },
      { kind: 'state', state: { kind: 'paused', reason: expect.stringContaining('irreversible') } },
    ]);
  });

  test('begins nobody while the app is frozen, and says why', () => {
    const rollout = rolloutOf({ progress: [{ kind: 'pending' }] });
    expect(advance(rollout, factsOf({}, 'Black Friday'), NOW)).toEqual([]);
    expect(heldBy(rollout, factsOf({}, 'Black Friday'), NOW)).toBe('The app is frozen: Black Friday');
  });

  test('takes back a tenant whose own requests fare worse, and counts it as failed', () => {
    const busy = { requests: 1000, errors: 0, latency: [1000, ...Array.from({ length: 23 }, () => 0)] };
    const rollout = rolloutOf({ progress: [live] });
    const [row] = rollout.tenants;
    if (row === undefined) throw new Error('no tenant');
    const judged = { ...rollout, tenants: [{ ...row, before: busy }] };
    const after = { ...busy, errors: 500 };
    expect(advance(judged, factsOf({ release: 13, generation: 2, after }), NOW)).toMatchObject([
      { kind: 'return', tenant: 't0', cause: 'failure', why: expect.stringContaining('50 %') },
    ]);
  });

  test('believes no word about another generation', () => {
    const late = { generation: 1, live: 1, phase: 'failed', problem } as const;
    const rollout = rolloutOf({ progress: [moving] });
    expect(advance(rollout, factsOf({ release: 13, generation: 2, reported: late }), NOW)).toEqual([]);
  });

  test('leaves a tenant alone that somebody changed meanwhile', () => {
    const rollout = rolloutOf({ progress: [moving] });
    expect(advance(rollout, factsOf({ release: 12, generation: 3 }), NOW)).toMatchObject([
      { kind: 'progress', progress: { kind: 'skipped', reason: 'changed' } },
    ]);
  });

  test('waits for a wave that bakes, and passes it when the time is over', () => {
    const rollout = rolloutOf({
      progress: [live],
      waves: [{ kind: 'baking', since: NOW, until: NOW + 120_000 }],
    });
    const said = { generation: 2, live: 2, phase: 'settled', problem: null } as const;
    const facts = factsOf({ release: 13, generation: 2, reported: said });
    expect(advance(rollout, facts, NOW + 119_000)).toEqual([]);
    expect(advance(rollout, facts, NOW + 120_000)).toMatchObject([
      { kind: 'progress', progress: { kind: 'moved' } },
      { kind: 'wave', state: { kind: 'passed', judged: expect.stringMatching(/^not judged/) } },
      { kind: 'advance', wave: 1 },
    ]);
  });
});
