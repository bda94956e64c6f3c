import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { RolloutTenant } from '@berth/shared/api/rollouts';
import { TenantRolloutSettings } from '@berth/shared/api/schemas';
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

const settings = (tenant: string, given: object) =>
  w.t.services.tenantReleases.settings(BY, tenant, TenantRolloutSettings.parse(given));
const state = async (rollout = 1) => (await w.t.services.rollouts.show(rollout)).state.kind;

describe('while a rollout runs', () => {
  test('a pinned tenant is left alone and named', async () => {
    expect(await settings('a', { pinned: 'until the audit' })).toMatchObject({ pinned: 'until the audit' });
    await w.start(2, '100%');
    await w.rounds(15);
    expect(await w.progress(1)).toEqual({ a: 'skipped: pinned', b: 'moved', c: 'moved', d: 'moved' });
    expect(await state()).toBe('completed');
    expect(await w.desired('a')).toMatchObject({ release: 1 });
  });

  test('a wave whose tenants are all pinned lets the next one begin only when somebody says so', async () => {
    await settings('a', { pinned: 'until the audit', addTags: ['canary'] });
    await w.start(2, 'canary,100%');
    await w.rounds(15);
    expect(await w.progress(1)).toEqual({ a: 'skipped: pinned', b: 'pending', c: 'pending', d: 'pending' });
    expect((await w.t.services.rollouts.show(1)).held).toMatch(/1 pinned\. .*berth rollout approve 1$/);
    expect((await w.t.services.rollouts.show(1)).awaits).toEqual({
      tenants: 1,
      first: [{ tenant: 'a', reason: 'pinned', window: null, opensAt: null }],
    });
    await w.t.services.rollouts.act(BY, 1, 'approve', {});
    await w.rounds(15);
    expect(await w.progress(1)).toEqual({ a: 'skipped: pinned', b: 'moved', c: 'moved', d: 'moved' });
    expect(await state()).toBe('completed');
  });

  test('a tenant outside its window waits for it, and another rollout takes it over', async () => {
    // The clock begins at 00:16 UTC of a Thursday.
    await settings('a', { window: 'daily 00:20-00:30 UTC' });
    await w.start(2, '100%');
    await w.rounds(15);
    expect(await w.progress(1)).toMatchObject({ a: 'skipped: window', b: 'moved' });
    const waiting = await w.t.services.rollouts.show(1);
    expect(waiting).toMatchObject({ state: { kind: 'waiting' } });
    expect(waiting.held).toContain('1 outside their window');
    expect(waiting.awaits?.first).toEqual([
      {
        tenant: 'a',
        reason: 'window',
        window: 'daily 00:20-00:30 UTC',
        opensAt: Date.parse('1970-01-01T00:20:00Z'),
      },
    ]);
    const third = await w.release();
    await w.start(third, '@a');
    expect(await state(1)).toBe('completed');
    w.t.clock.time = Date.parse('1970-01-01T00:21:00Z');
    await w.rounds(15);
    expect(await w.progress(2)).toEqual({ a: 'moved' });
    expect(await state(2)).toBe('completed');
  });

  test('a host that is offline is skipped, and catches up when it is back', async () => {
    await w.offline(w.hosts[0] ?? '');
    await w.start(2, '100%');
    await w.rounds(15);
    expect(await w.progress(1)).toMatchObject({ a: 'skipped: offline', b: 'moved', c: 'skipped: offline' });
    expect(await state()).toBe('waiting');
    await w.online(w.hosts[0] ?? '');
    await w.rounds(15);
    expect(await w.progress(1)).toMatchObject({ a: 'moved', c: 'moved' });
    expect(await state()).toBe('completed');
  });

  test('a freeze lets nobody begin until it ends', async () => {
    await w.start(2, '1,100%');
    await w.rounds(1);
    await w.t.services.apps.freeze(BY, 'shop', 'Black Friday.');
    await w.rounds(10);
    expect((await w.t.services.rollouts.show(1)).held).toBe('The app is frozen: Black Friday.');
    expect(Object.values(await w.progress(1)).filter((kind) => kind === 'pending')).toHaveLength(3);
    await w.t.services.apps.freeze(BY, 'shop', null);
    await w.rounds(15);
    expect(await state()).toBe('completed');
  });

  test('tenants that are deleted, changed by hand, paused or new are not moved', async () => {
    await w.start(2, '@a,100%');
    await w.rounds(1);
    await w.t.services.tenants.remove(BY, 'b');
    await w.t.services.tenants.pause(BY, 'c');
    const third = await w.release();
    await w.t.services.tenants.change(BY, 'd', { release: third });
    await w.tenant('e', { release: 1 });
    await w.rounds(20);
    expect(await w.progress(1)).toEqual({
      a: 'moved',
      b: 'skipped: removed',
      c: 'skipped: paused',
      d: 'skipped: changed',
    });
    expect(await w.desired('c')).toMatchObject({ release: 1, state: 'paused' });
    expect(await w.desired('d')).toMatchObject({ release: third });
    expect(await w.desired('e')).toMatchObject({ release: 1 });
    expect(await state()).toBe('completed');
  });

  test('a tenant that somebody changes while it moves is his', async () => {
    w.manners.set('a', 'silent');
    await w.start(2, '@a');
    await w.rounds(2);
    await w.t.services.tenants.change(BY, 'a', { variables: { GREETING: 'mine' } });
    await w.rounds(3);
    expect(await w.progress(1)).toEqual({ a: 'skipped: changed' });
    expect((await w.desired('a')).spec.services[0]?.environment['GREETING']).toBe('mine');
  });

  test('a tenant that is deleted is still named, without a host', async () => {
    w.manners.set('a', 'silent');
    await w.start(2, '@a');
    await w.rounds(2);
    await w.t.services.tenants.remove(BY, 'a');
    await w.rounds(2);
    const { generation } = await w.t.services.tenants.show('a');
    const host = w.hosts[0] ?? '';
    await w.t.store.fleet.confirmTombstone(host, 'a', generation, [], w.t.clock.now());
    await w.t.store.fleet.finishRemoval(host, 'a', generation, w.t.clock.now());
    await w.rounds(2);
    const { items } = await w.t.services.rollouts.tenants(1, {}, { limit: 10 });
    expect(items).toMatchObject([{ tenant: 'a', progress: { kind: 'skipped', reason: 'removed' } }]);
    expect(items.map((each) => RolloutTenant.safeParse(each).success)).toEqual([true]);
  });

  test('a tenant that had been begun when its host went away goes back with the others', async () => {
    const before = await w.desired('a');
    w.manners.set('a', 'silent');
    await w.start(2, '@a', { moveTimeoutMs: 10_000 });
    await w.rounds(2);
    await w.offline(w.hosts[0] ?? '');
    await w.rounds(12);
    expect(await w.progress(1)).toEqual({ a: 'skipped: offline' });
    await w.t.services.rollouts.act(BY, 1, 'rollback', {});
    await w.rounds(2);
    expect(await state()).toBe('rolled-back');
    expect(await w.desired('a')).toEqual(before);
    // What was desired before is what its agent said last that it serves; but that was before it was begun.
    const seen = async () => {
      const { items } = await w.t.services.rollouts.tenants(1, {}, { limit: 10 });
      const shown = await w.t.services.rollouts.show(1);
      const { counts, unheard } = shown;
      return { kind: items[0]?.progress.kind, on: items[0]?.connection, counts, unheard };
    };
    expect(await seen()).toMatchObject({
      kind: 'returning',
      on: 'offline',
      counts: { returning: 1 },
      unheard: 1,
    });
    expect(await w.t.services.tenantReleases.history('a', 1)).toMatchObject([
      { what: 'returning', hold: 'offline', ms: null },
    ]);
    expect((await w.t.services.questions.explain('a')).attempt).toMatchObject({ became: 'returning' });
    await w.online(w.hosts[0] ?? '');
    expect(await seen()).toMatchObject({
      kind: 'returned',
      on: 'online',
      counts: { returned: 1 },
      unheard: 0,
    });
    expect(await w.t.services.tenantReleases.history('a', 1)).toMatchObject([
      { what: 'returned', hold: null },
    ]);
  });

  test('a tenant of unknown outcome that serves by now goes back with the others', async () => {
    w.manners.set('a', { fails: 'release_outcome_unknown' });
    await w.start(2, '@a');
    await w.rounds(2);
    expect(await w.progress(1)).toEqual({ a: 'failed' });
    await w.t.services.rollouts.act(BY, 1, 'rollback', {});
    await w.rounds(3);
    expect(await w.progress(1)).toEqual({ a: 'returned' });
    expect(await w.desired('a')).toMatchObject({ release: 1 });
  });

  test('a coordinator that only observes decides nothing', async () => {
    await w.start(2, '100%');
    await w.t.store.fleet.enterObserveOnly('restored', w.t.clock.now());
    await w.rounds(5);
    expect(Object.values(await w.progress(1))).toEqual(['pending', 'pending', 'pending', 'pending']);
    await w.t.services.status.confirmEpoch(BY);
    await w.rounds(20);
    expect(await state()).toBe('completed');
  });
});

describe('one tenant alone', () => {
  const says = async (kind: 'tenant.live' | 'tenant.returned', generation: number, after: number) => {
    const at = w.t.clock.now() + after;
    const events = [{ id: 'x', at, tenant: 'a', generation, kind, message: 'So it is.', details: {} }];
    const batch = { host: w.hosts[0] ?? '', at, tenants: [], traffic: [], report: null, events };
    await w.t.store.fleet.ingest([batch]);
  };
  const rollback = (given: object = {}) => w.t.services.tenantReleases.rollback(BY, 'a', given);

  test('goes back word for word while its old colour is kept, and never back from a return', async () => {
    const before = await w.desired('a');
    await w.start(2, '@a');
    await w.rounds(2);
    expect(await rollback({ reason: 'too slow' })).toMatchObject({ generation: 1, result: 'changed' });
    expect(await w.desired('a')).toEqual(before);
    expect(await w.t.services.tenantReleases.history('a', 5)).toMatchObject([
      { what: 'returning', release: 1, generation: 1, message: 'Back from release 2 to 1: too slow' },
      { what: 'moved', release: 2, generation: 2, rollout: 1, by: 'test' },
      { what: 'created', release: 1, generation: 1 },
    ]);
    await w.rounds(1);
    await says('tenant.returned', 2, 400);
    // The agent names the generation that it left.
    expect(await w.t.services.tenantReleases.history('a', 1)).toMatchObject([
      { what: 'rolled-back', generation: 1, ms: 1_400 },
    ]);
    await expect(rollback()).rejects.toThrow(/has no release before 1/);
  });

  test('goes back anew after a change by hand, and its history knows how long each took', async () => {
    await w.t.services.tenants.change(BY, 'a', { release: 2 });
    expect(await rollback()).toMatchObject({ generation: 3 });
    expect(await w.desired('a')).toMatchObject({ release: 1, generation: 3 });
    await says('tenant.live', 3, 1_500);
    expect(await w.t.services.tenantReleases.history('a', 5)).toMatchObject([
      { what: 'rolled-back', generation: 3, ms: 1_500 },
      { what: 'changed', generation: 2, ms: null },
      { what: 'created', generation: 1 },
    ]);
  });

  test('does not go back past an irreversible release command by itself', async () => {
    const to = await w.release((text) =>
      text.concat('x-berth:\n  release: { service: web, command: ["/app/migrate"], irreversible: true }\n'),
    );
    await w.start(to, '@a');
    await w.rounds(2);
    await expect(rollback()).rejects.toThrow(/marked irreversible/);
    await expect(w.t.services.rollouts.act(BY, 1, 'rollback', {})).rejects.toThrow(/marked irreversible/);
    expect(await rollback({ pastIrreversible: true })).toMatchObject({ generation: 1 });
  });

  test('has an operator’s word on its release command only where one is asked for', async () => {
    const decide = () => w.t.services.tenantReleases.decide(BY, 'a', { choice: 'succeeded' });
    await expect(decide()).rejects.toThrow(/Nothing is asked about a release command of tenant a/);
    w.manners.set('a', { fails: 'release_outcome_unknown' });
    await w.start(2, '@a');
    await w.rounds(2);
    expect(await w.progress(1)).toEqual({ a: 'failed' });
    const history = () => w.t.services.tenantReleases.history('a', 2);
    const failed = { what: 'failed', ms: null, message: 'It went wrong.' };
    expect(await history()).toMatchObject([failed, { what: 'created' }]);
    expect((await w.t.services.questions.explain('a')).attempt).toMatchObject({
      rollout: 1,
      release: 2,
      became: 'stays',
      reason: 'It went wrong.',
    });
    expect(await decide()).toMatchObject({ generation: 2, result: 'changed' });
    const message = 'test said of its release command that it has succeeded.';
    expect(await history()).toMatchObject([{ what: 'moved', ms: null, rollout: 1, message }, failed]);
    await says('tenant.live', 2, 3_000);
    expect(await history()).toMatchObject([{ what: 'moved', generation: 2, message }, failed]);
    expect((await history())[0]?.ms).toBeGreaterThanOrEqual(3_000);
    expect(await w.desired('a')).toMatchObject({
      release: 2,
      generation: 2,
      decision: { key: 'key-1', choice: 'succeeded' },
    });
  });

  test('has tags that order rollouts', async () => {
    await settings('c', { addTags: ['canary', 'tier=free'] });
    expect(await settings('c', { removeTags: ['tier=free'] })).toMatchObject({ tags: ['canary'] });
    await w.start(2, 'canary,100%');
    await w.rounds(1);
    expect(await w.progress(1)).toMatchObject({ c: 'live', a: 'pending' });
    const [first] = (await w.t.services.rollouts.tenants(1, { wave: 1 }, { limit: 10 })).items;
    expect(first).toMatchObject({ tenant: 'c', wave: 1, hostName: 'one' });
  });
});
