import { createClient } from '@berth/shared/api/client';
import type { Problem } from '@berth/shared/domain/step';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createStepList } from '../src/output/steps.ts';
import { waitForTenant, type Goal, type Outcome } from '../src/wait.ts';
import { fakeCoordinator, tenantEvent, tenantView } from './support/fake-coordinator.ts';
import { keptOutput } from './support/sink.ts';

let fake: Awaited<ReturnType<typeof fakeCoordinator>>;
beforeEach(async () => {
  fake = await fakeCoordinator(tenantView());
});
afterEach(async () => {
  await fake.close();
});

const problem: Problem = {
  code: 'health_failed',
  message: 'web never became healthy',
  step: 'containers.probe',
  service: 'web',
  logTail: ['boom'],
  at: 1,
};

interface Wishes {
  timeoutMs?: number;
  signal?: AbortSignal;
  lastStep?: string;
  blockedMs?: number;
}

function wait(goal: Goal, options: Wishes = {}) {
  const { output, written } = keptOutput('human');
  const clock = { now: () => performance.now() };
  const done: Promise<Outcome> = waitForTenant({
    api: createClient({ url: fake.url, token: 't' }),
    tenant: 'acme',
    generation: 2,
    afterEvent: 5,
    goal,
    timeoutMs: options.timeoutMs ?? 15_000,
    signal: options.signal ?? new AbortController().signal,
    clock,
    list: createStepList(output, clock),
    ...(options.blockedMs === undefined ? {} : { blockedMs: options.blockedMs }),
    ...(options.lastStep === undefined ? {} : { lastStep: options.lastStep }),
  });
  return { done, written };
}

test('a deploy is over when its generation is live, and each step was shown', async () => {
  fake.emit(tenantEvent('tenant.step', 'image shop:2', { step: 'image.ensure', state: 'started', ms: null }));
  fake.emit(tenantEvent('tenant.step', 'image shop:2', { step: 'image.ensure', state: 'done', ms: 300 }));
  fake.emit(tenantEvent('tenant.live', 'An older one.', {}, 1));
  fake.emit(tenantEvent('tenant.live', 'Generation 2 serves.'));
  const { done, written } = wait('live');
  const outcome = await done;
  expect(outcome.outcome).toBe('live');
  expect(outcome.steps).toEqual([{ step: 'image.ensure', title: 'image shop:2', state: 'done', ms: 300 }]);
  expect(written.out).toBe('  ✓ image shop:2 0.3 s\n');
});

test('a stream that is cut is taken up after the last event', async () => {
  const first = tenantEvent('tenant.step', 'a', { step: 'a', state: 'done', ms: 1 });
  fake.emit(first);
  const { done } = wait('live');
  await expect.poll(() => fake.askedAfter.length).toBe(1);
  await expect.poll(() => fake.askedAfter[0]).toBe(5);
  fake.cut();
  fake.emit(tenantEvent('tenant.live', 'Generation 2 serves.'));
  const outcome = await done;
  expect(outcome.outcome).toBe('live');
  expect(outcome.steps).toHaveLength(1);
  expect(fake.askedAfter.at(-1)).toBeGreaterThanOrEqual(5);
});

test('a failure ends the wait with the problem and its last lines', async () => {
  fake.emit(tenantEvent('tenant.failed', 'no', { problem }));
  const outcome = await wait('live').done;
  expect(outcome).toMatchObject({ outcome: 'failed', problem: { service: 'web', logTail: ['boom'] } });
});

test('a return to the old generation is told apart from a failure before the switch', async () => {
  fake.emit(tenantEvent('tenant.returned', 'no', { problem }));
  expect((await wait('live').done).outcome).toBe('returned');
});

test('a later generation that was taken back is the way to the one that is waited for', async () => {
  const taken = { problem: { ...problem, code: 'withdrawn' as const } };
  fake.emit(tenantEvent('tenant.returned', 'Now generation 2 serves again.', taken, 3));
  expect(await wait('live').done).toMatchObject({ outcome: 'live', problem: null });
});

test('what blocks is said once, at once, with what becomes of it, and the wait goes on', async () => {
  const blocked = { problem: { ...problem, code: 'memory_short' as const, message: 'only 10 MiB are free' } };
  fake.emit(tenantEvent('tenant.blocked', 'x', blocked));
  fake.emit(tenantEvent('tenant.blocked', 'x', blocked));
  fake.emit(tenantEvent('tenant.live', 'Generation 2 serves.'));
  const { done, written } = wait('live');
  expect((await done).outcome).toBe('live');
  expect(written.out).toBe(
    '  blocked: only 10 MiB are free\n' +
      '    The host goes on trying by itself. Why, and what to do: berth tenant explain acme\n',
  );
});

test('the steps a blocked tenant goes through again are not shown again', async () => {
  const failing = { step: 'image.ensure', state: 'failed', ms: 5 };
  for (let i = 0; i < 3; i += 1) {
    fake.emit(tenantEvent('tenant.step', 'image shop:9', failing));
    fake.emit(tenantEvent('tenant.blocked', 'x', { problem: { ...problem, message: 'no registry' } }));
  }
  fake.emit(tenantEvent('tenant.step', 'image shop:9', { ...failing, state: 'done' }));
  fake.emit(tenantEvent('tenant.live', 'Generation 2 serves.'));
  const { done, written } = wait('live');
  expect((await done).outcome).toBe('live');
  expect(written.out).toMatch(
    /^ {2}✗ image shop:9 0\.0 s\n {2}blocked: no registry\n.*\n {2}✓ image shop:9 0\.0 s\n$/,
  );
});

const imageProblem: Problem = {
  ...problem,
  code: 'registry_unreachable',
  step: 'image shop:9',
  message: 'gone',
};
const imageStep = (state: string, message = 'image shop:9') =>
  tenantEvent('tenant.step', message, { step: 'image.ensure', state, ms: 5 });
const blocked = () => tenantEvent('tenant.blocked', 'x', { problem: imageProblem });

test('a tenant that stays blocked ends the wait long before the time is up', async () => {
  fake.emit(imageStep('started'));
  fake.emit(imageStep('failed', 'The registry cannot be reached.'));
  fake.emit(blocked());
  const outcome = await wait('live', { blockedMs: 100 }).done;
  expect(outcome).toMatchObject({ outcome: 'blocked', problem: { code: 'registry_unreachable' } });
  // The step keeps its name; the error is told beside it.
  expect(outcome.steps).toEqual([{ step: 'image.ensure', title: 'image shop:9', state: 'failed', ms: 5 }]);
});

test('a try that is under way when patience ends may succeed', async () => {
  fake.emit(imageStep('started'));
  fake.emit(blocked());
  fake.emit(imageStep('started'));
  const { done } = wait('live', { blockedMs: 50 });
  const early = await Promise.race([
    done,
    new Promise((resolve) => setTimeout(resolve, 300, 'still waiting')),
  ]);
  expect(early).toBe('still waiting');
  fake.emit(imageStep('done'));
  fake.emit(tenantEvent('tenant.live', 'Generation 2 serves.'));
  expect((await done).outcome).toBe('live');
});

test('a try that was under way when patience ended and fails as well ends the wait', async () => {
  fake.emit(blocked());
  fake.emit(imageStep('started'));
  const { done } = wait('live', { blockedMs: 50 });
  await new Promise((resolve) => setTimeout(resolve, 200));
  fake.emit(blocked());
  expect((await done).outcome).toBe('blocked');
});

test('a change of routes is over with the step that tells Nginx', async () => {
  fake.emit(
    tenantEvent('tenant.step', 'tell Nginx its 2 sites', { step: 'ingress.apply', state: 'done', ms: 20 }),
  );
  expect((await wait('live', { lastStep: 'ingress.apply' }).done).outcome).toBe('live');
});

test('a pause and a removal end with their own events', async () => {
  fake.emit(tenantEvent('tenant.paused', 'x'));
  expect((await wait('paused').done).outcome).toBe('paused');
  fake.emit(tenantEvent('tenant.removed', 'x'));
  expect((await wait('removed').done).outcome).toBe('removed');
});

test('when the events never say so, the state does', async () => {
  const { done } = wait('live');
  await expect.poll(() => fake.askedAfter.length).toBe(1);
  // A report from before the change proves nothing; a newer one does.
  fake.shown.tenant = tenantView({ phase: 'settled', live: 2, reportedAt: 1000, updatedAt: 900 });
  expect((await done).outcome).toBe('live');
});

test('a tenant that is gone is removed, even when its last event was missed', async () => {
  fake.shown.tenant = null;
  expect((await wait('removed').done).outcome).toBe('removed');
});

test('time runs out, and Ctrl-C ends the watching, without calling either a failure', async () => {
  expect((await wait('live', { timeoutMs: 200 }).done).outcome).toBe('timeout');
  const stop = new AbortController();
  const { done } = wait('live', { signal: stop.signal });
  stop.abort();
  expect((await done).outcome).toBe('interrupted');
});
