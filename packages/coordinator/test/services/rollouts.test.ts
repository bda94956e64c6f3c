import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { RolloutPolicy } from '@berth/shared/domain/rollout';
import { rolloutWorld, type World } from '../support/rollout-world.ts';
import { BY } from '../support/samples.ts';

let w: World;
beforeEach(async () => {
  w = await rolloutWorld();
});
afterEach(async () => {
  expect(w.t.problems).toEqual([]);
  await w.close();
});

const all = (kind: string) => ({ a: kind, b: kind, c: kind, d: kind });
const state = async (rollout = 1) => (await w.t.services.rollouts.show(rollout)).state.kind;
const eventsOf = async (kind: string) =>
  (await w.t.store.events({ kind }, 0, 1000)).map((each) => each.message);

describe('a rollout', () => {
  test('moves wave by wave, each watched before the next, and says so in events, audit and history', async () => {
    const begun = await w.start(2, '1,100%');
    expect(begun).toMatchObject({ rollout: 1, app: 'shop', to: 2, wave: 1, startedBy: 'test' });
    expect(begun.waves.map((wave) => wave.counts.pending)).toEqual([1, 3]);
    await w.rounds(2);
    expect(Object.values(await w.progress(1)).sort()).toEqual(['live', 'pending', 'pending', 'pending']);
    await w.rounds(20);
    expect(await w.progress(1)).toEqual(all('moved'));
    const over = await w.t.services.rollouts.show(1);
    expect(over).toMatchObject({ state: { kind: 'completed' }, failures: 0, held: null });
    expect(over.endedAt).not.toBeNull();
    expect(over.waves.map((wave) => wave.state.kind)).toEqual(['passed', 'passed']);
    expect((await w.t.services.apps.show('shop')).current).toBe(2);
    expect(await w.desired('a')).toMatchObject({ release: 2, generation: 2 });
    expect((await w.desired('a')).spec.bakeMs).toBeGreaterThanOrEqual(65_000);

    expect(await eventsOf('rollout.state')).toEqual(['Rollout 1 of shop to release 2 is complete.']);
    const waves = await eventsOf('rollout.wave');
    expect(waves).toHaveLength(6);
    expect(waves[0]).toBe('Rollout 1: wave 1 (1) moves.');
    expect(await eventsOf('rollout.tenant')).toContain('Rollout 1: a moves to release 2 as generation 2.');
    const audit = await w.t.store.audit(undefined, 100);
    expect(audit.filter((each) => each.action === 'rollout.created')).toMatchObject([{ actor: 'test' }]);
    // One at each change of the rollout or of a wave, and none for each look at its tenants.
    const advanced = audit.filter((each) => each.action === 'rollout.advanced');
    expect(advanced[0]).toMatchObject({ actor: 'rollout:1', subject: '1' });
    expect(advanced).toHaveLength(7);
    const history = await w.t.services.tenantReleases.history('a', 10);
    expect(history).toMatchObject([
      { what: 'moved', release: 2, generation: 2, rollout: 1, by: 'test' },
      { what: 'created', release: 1, generation: 1, rollout: null },
    ]);
    expect(history[0]?.ms).toBeGreaterThanOrEqual(0);
    expect(w.t.fleet.told).toContain(w.hosts[0]);
  });

  test('goes on with a coordinator that was killed, and repeats nothing', async () => {
    await w.start(2, '2,100%');
    for (let round = 0; round < 30 && (await state()) === 'running'; round += 1) {
      await w.rounds(1);
      await w.t.restartDriver();
    }
    expect(await w.progress(1)).toEqual(all('moved'));
    for (const name of ['a', 'b', 'c', 'd'])
      expect(await w.desired(name)).toMatchObject({ release: 2, generation: 2 });
    expect((await eventsOf('rollout.tenant')).filter((each) => each.includes(' moves to '))).toHaveLength(4);
  });

  test('halts at the first failure beyond the budget; the failed tenant is on what serves', async () => {
    w.manners.set('a', { fails: 'health_failed' });
    await w.start(2, '@a,100%');
    await w.rounds(3);
    expect(await w.t.services.rollouts.show(1)).toMatchObject({
      state: { kind: 'paused', by: 'failure' },
      failures: 1,
    });
    expect(await w.progress(1)).toEqual({ ...all('pending'), a: 'failed' });
    expect(await w.desired('a')).toMatchObject({ release: 1, generation: 1 });
    expect(await w.t.store.tenant('a')).toMatchObject({ release: 1, generation: 1 });
    expect(await w.t.services.tenantReleases.history('a', 1)).toMatchObject([
      { what: 'failed', generation: 2, message: 'It went wrong.' },
    ]);

    w.manners.delete('a');
    await w.t.services.rollouts.act(BY, 1, 'retry', {});
    await w.rounds(20);
    expect(await w.progress(1)).toEqual(all('moved'));
    // The number of the failed try is not given out again.
    expect(await w.desired('a')).toMatchObject({ release: 2, generation: 3 });
  });

  test('takes its wave back when that was asked for, word for word while the old colour is kept', async () => {
    w.manners.set('b', { fails: 'health_failed' });
    const before = await w.desired('a');
    await w.start(2, '@a+b,100%', { onFailure: 'rollback', maxFailures: 0, atOnce: 1 });
    await w.rounds(12);
    expect(await state()).toBe('paused');
    expect(await w.progress(1)).toMatchObject({ b: 'failed', c: 'pending', d: 'pending' });
    expect(await w.desired('a')).toEqual(before);
    expect(await w.desired('b')).toMatchObject({ release: 1, generation: 1 });
  });

  test('fails a tenant whose variables the release does not fit, before anything happens to it', async () => {
    const to = await w.release((text) =>
      text.replace('STORE: ${BERTH_TENANT}', 'STORE: ${NEEDED:?set NEEDED}'),
    );
    const plan = await w.t.services.rollouts.plan({
      app: 'shop',
      to,
      policy: RolloutPolicy.parse({ waves: [{ target: { kind: 'share', percent: 100 } }] }),
      changesOf: 2,
    });
    expect(plan.waves[0]?.tenants[0]?.error).toContain('set NEEDED');
    expect(plan.warnings.join(' ')).toContain('4 tenants; they would fail');
    await w.start(to, '@a,100%');
    await w.rounds(3);
    expect(await w.progress(1)).toMatchObject({ a: 'failed' });
    expect(await w.desired('a')).toMatchObject({ release: 1, generation: 1 });
  });

  test('is planned with a warning when the release routes a path no more', async () => {
    const planned = async (to: number): Promise<string[]> => {
      const policy = RolloutPolicy.parse({ waves: [{ target: { kind: 'share', percent: 100 } }] });
      return (await w.t.services.rollouts.plan({ app: 'shop', to, policy, changesOf: 0 })).warnings;
    };
    const to = await w.release((text) =>
      text.replace('route: { port: 8080 }', 'route: { port: 8080, path: /api }'),
    );
    expect(await planned(to)).toContain(
      `Release ${to} routes /api and no longer /: who asks for what nothing routes gets 404.`,
    );
    expect((await planned(2)).join(' ')).not.toContain('no longer');
  });

  test('is refused for an app that is frozen, has one already, knows no such release or has nothing to move', async () => {
    await expect(w.start(9, '100%')).rejects.toMatchObject({ code: 'not_found' });
    await expect(w.start(1, '100%')).rejects.toThrow(/Nothing is to be moved/);
    await expect(w.start(2, 'canary,100%')).rejects.toThrow(/No tenant of this app has the tag canary/);
    await w.t.services.apps.freeze(BY, 'shop', 'Christmas.');
    await expect(w.start(2, '100%')).rejects.toThrow(/App shop is frozen: Christmas\./);
    await w.t.services.apps.freeze(BY, 'shop', null);
    await w.start(2, '100%');
    await expect(w.start(2, '100%')).rejects.toMatchObject({
      code: 'conflict',
      details: { rollout: 1 },
    });
  });

  test('that is queued begins when the one before it is over, with who is there then', async () => {
    const third = await w.release();
    await w.start(2, '100%');
    const queued = await w.start(third, '100%', {}, 'queue');
    expect(queued).toMatchObject({ rollout: 2, state: { kind: 'queued' } });
    await w.rounds(1);
    expect((await w.t.services.rollouts.show(2)).held).toContain('rollout 1');
    await w.tenant('e', { release: 1 });
    await w.rounds(30);
    expect(await state(1)).toBe('completed');
    expect(await state(2)).toBe('completed');
    expect(await w.progress(2)).toEqual({ ...all('moved'), e: 'moved' });
    expect((await w.t.services.rollouts.show(2)).awaits).toBeNull();
    const list = await w.t.services.rollouts.list({ app: 'shop' }, { limit: 10 });
    expect(list.items.map((each) => [each.rollout, each.counts.moved])).toEqual([
      [2, 5],
      [1, 4],
    ]);
  });
});

describe('a queued rollout', () => {
  const act = (kind: Parameters<typeof w.t.services.rollouts.act>[2]) =>
    w.t.services.rollouts.act(BY, 2, kind, {});

  test('that is paused has not its turn before it is resumed, also when the one before it is over', async () => {
    const third = await w.release();
    await w.start(2, '100%');
    await w.start(third, '100%', {}, 'queue');
    expect(await act('pause')).toMatchObject({ state: { kind: 'paused', from: 'queued' } });
    await expect(act('pause')).rejects.toThrow('Rollout 2 is paused already.');
    await expect(act('approve')).rejects.toThrow(/First: "berth rollout resume 2"\./);
    await w.rounds(30);
    expect(await state(1)).toBe('completed');
    expect(await state(2)).toBe('paused');
    await w.tenant('e', { release: 1 });
    expect(await act('resume')).toMatchObject({ state: { kind: 'running' } });
    await w.rounds(20);
    // Its waves are those of the moment at which its turn came.
    expect(await w.progress(2)).toEqual({ ...all('moved'), e: 'moved' });
  });

  test('that is resumed while the one before it goes on waits again, and is taken back without touching anybody', async () => {
    const third = await w.release();
    await w.start(2, '1,100%', { bakeMs: 3_600_000 });
    await w.start(third, '100%', {}, 'queue');
    await w.rounds(2);
    await act('pause');
    await w.rounds(2);
    expect(await act('resume')).toMatchObject({ state: { kind: 'queued' } });
    await expect(act('approve')).rejects.toThrow(/waits for the rollout of shop before it/);
    expect(await act('rollback')).toMatchObject({ state: { kind: 'rolled-back' } });
    await w.rounds(2);
    expect(Object.values(await w.progress(1)).sort()).toEqual(['live', 'pending', 'pending', 'pending']);
  });
});

describe('an operator', () => {
  const act = (kind: Parameters<typeof w.t.services.rollouts.act>[2]) =>
    w.t.services.rollouts.act(BY, 1, kind, { reason: 'so it is' });

  test('pauses and resumes: what is under way goes on, nobody begins', async () => {
    await w.start(2, '1,100%');
    await w.rounds(1);
    expect(await act('pause')).toMatchObject({ state: { kind: 'paused', by: 'operator' } });
    await w.rounds(10);
    expect(Object.values(await w.progress(1)).filter((kind) => kind === 'pending')).toHaveLength(3);
    await act('resume');
    await w.rounds(20);
    expect(await state()).toBe('completed');
    await expect(act('pause')).rejects.toMatchObject({ code: 'conflict' });
  });

  test('approves the wave that waits', async () => {
    await w.start(2, '1,100%:approve');
    await w.rounds(12);
    const waits = await w.t.services.rollouts.show(1);
    expect(waits.waves[1]?.state.kind).toBe('awaiting-approval');
    expect(waits.held).toContain('waits for approval');
    await act('approve');
    await w.rounds(15);
    expect(await state()).toBe('completed');
  });

  test('aborts: tenants under way go back, those that serve stay', async () => {
    w.manners.set('b', 'silent');
    await w.start(2, '@a+b,100%', { maxFailures: 1 });
    await w.rounds(2);
    expect(await w.progress(1)).toMatchObject({ a: 'live', b: 'moving' });
    expect(await w.desired('b')).toMatchObject({ release: 2 });
    expect(await act('abort')).toMatchObject({ state: { kind: 'rolling-back', scope: 'under-way' } });
    expect(await w.desired('b')).toMatchObject({ release: 1, generation: 1 });
    expect(await w.desired('a')).toMatchObject({ release: 2 });
    expect((await w.t.store.audit(undefined, 1))[0]).toMatchObject({
      action: 'rollout.aborted',
      after: { tenants: { return: ['b'] } },
    });
    await w.rounds(3);
    expect(await w.progress(1)).toMatchObject({ a: 'live', b: 'returned' });
    expect(await w.t.store.rollout(1)).toMatchObject({
      state: { kind: 'aborted', reason: 'by test: so it is' },
    });
  });

  test('rolls everything back, anew where the old colour is gone', async () => {
    await w.start(2, '2,100%');
    await w.rounds(9);
    const moved = Object.entries(await w.progress(1)).flatMap(([name, kind]) =>
      kind === 'moved' ? [name] : [],
    );
    expect(moved).toHaveLength(2);
    const [gone = ''] = moved;
    const { host = '' } = (await w.t.store.tenant(gone)) ?? {};
    await w.t.store.fleet.ingest([
      {
        host,
        at: w.t.clock.now(),
        tenants: [settled(gone, 2, w.t.clock.now())],
        events: [],
        traffic: [],
        report: null,
      },
    ]);
    await act('rollback');
    await w.rounds(10);
    expect(await state()).toBe('rolled-back');
    expect(await w.desired(gone)).toMatchObject({ release: 1, generation: 3 });
    const kept = moved.find((name) => name !== gone) ?? '';
    expect(await w.desired(kept)).toMatchObject({ release: 1, generation: 1 });
    const [wordForWord, before] = await w.t.services.tenantReleases.history(kept, 2);
    expect(wordForWord).toMatchObject({ what: 'returned', release: 1, generation: 1, rollout: 1 });
    expect(before).toMatchObject({ what: 'moved', release: 2, generation: 2, rollout: 1 });
    expect(wordForWord?.ms).toBeGreaterThan(0);
    const [newest] = await w.t.services.tenantReleases.history(gone, 1);
    expect(newest).toMatchObject({ what: 'returned', release: 1, generation: 3, rollout: 1 });
    expect(newest?.ms).toBeGreaterThan(0);
  });
});

function settled(tenant: string, generation: number, at: number) {
  return {
    tenant,
    generation,
    live: generation,
    phase: 'settled' as const,
    at,
    steps: [],
    problem: null,
    retryAt: null,
    containers: [],
  };
}
