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

function wait(goal: Goal, options: { timeoutMs?: number; signal?: AbortSignal; lastStep?: string } = {}) {
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

test('what blocks is said once, at once, and the wait goes on', async () => {
  const blocked = { problem: { ...problem, code: 'memory_short' as const, message: 'only 10 MiB are free' } };
  fake.emit(tenantEvent('tenant.blocked', 'x', blocked));
  fake.emit(tenantEvent('tenant.blocked', 'x', blocked));
  fake.emit(tenantEvent('tenant.live', 'Generation 2 serves.'));
  const { done, written } = wait('live');
  expect((await done).outcome).toBe('live');
  expect(written.out).toBe('  waiting: only 10 MiB are free\n');
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
  expect(written.out).toBe('  ✗ image shop:9 0.0 s\n  waiting: no registry\n  ✓ image shop:9 0.0 s\n');
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
