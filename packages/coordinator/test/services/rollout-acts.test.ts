import { afterEach, beforeEach, expect, test } from 'vitest';
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

const shown = () => w.t.services.rollouts.show(1);
const act = (kind: 'pause' | 'resume' | 'approve' | 'retry' | 'abort' | 'rollback', reason?: string) =>
  w.t.services.rollouts.act(BY, 1, kind, reason === undefined ? {} : { reason });
const acts = async () => ((await shown()).acts ?? []).map(({ what, by, wave, why }) => [what, by, wave, why]);

test('a rollout that went on tells still what stopped it, and who had it go on, and why', async () => {
  w.manners.set('b', { fails: 'health_failed' });
  await w.start(2, '@a+b,100%:approve', { onFailure: 'rollback', atOnce: 1 });
  await w.rounds(12);
  const why = 'Wave 1: 1 tenant failed and none may; b: It went wrong.';
  const stopped = [
    ['halted', null, 1, why],
    ['wave-rolled-back', null, 1, null],
  ];
  expect(await acts()).toEqual(stopped);
  w.manners.delete('b');
  await act('retry', 'fixed');
  await w.rounds(15);
  await act('approve');
  await w.rounds(15);
  expect(await shown()).toMatchObject({ state: { kind: 'completed' }, failures: 0 });
  const whole = [
    ...stopped,
    ['retried', 'test', 1, 'fixed'],
    ['asked', null, 2, 'it was asked for'],
    ['approved', 'test', 2, null],
  ];
  expect(await acts()).toEqual(whole);
  const times = ((await shown()).acts ?? []).map(({ at }) => at);
  expect(times).toEqual(times.toSorted((a, b) => a - b));
  const { items } = await w.t.services.rollouts.list({ app: 'shop' }, { limit: 5, after: undefined });
  expect(items[0]?.acts).toHaveLength(whole.length);
});

test('what was aborted or rolled back says by whom once, and no wave failed of it', async () => {
  await w.start(2, '@a,100%:approve');
  await w.rounds(12);
  await act('abort', 'enough');
  await w.rounds(3);
  expect(await shown()).toMatchObject({
    state: { kind: 'aborted', reason: 'by test: enough' },
    waves: [{ state: { kind: 'passed' } }, { state: { kind: 'aborted' } }],
    counts: { failed: 0 },
  });
  await w.start(2, '100%');
  await w.rounds(2);
  await w.t.services.rollouts.act(BY, 2, 'rollback', { reason: 'too slow' });
  await w.rounds(10);
  expect(await w.t.services.rollouts.show(2)).toMatchObject({
    state: { kind: 'rolled-back', reason: 'by test: too slow' },
    acts: [{ what: 'rolled-back', by: 'test', wave: 1, why: 'too slow' }],
  });
  const [newest] = await w.t.services.tenantReleases.history('b', 1);
  expect(newest?.message).toBe(
    'Rollout 2 takes it back from release 2 to 1: The rollout was rolled back by test: too slow',
  );
});

test('why an app is frozen has its full stop in the refusal', async () => {
  await w.t.services.apps.freeze(BY, 'shop', 'black friday');
  await expect(w.start(2, '100%')).rejects.toThrow('App shop is frozen: black friday. Unfreeze it first:');
});
