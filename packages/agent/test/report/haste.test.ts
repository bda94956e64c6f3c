import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Report } from '@berth/shared/protocol/messages';
import type { AgentEvent } from '@berth/shared/protocol/report';
import { createOutbox } from '../../src/report/outbox.ts';

const event = (id: string, kind: AgentEvent['kind'], details: AgentEvent['details'] = {}): AgentEvent => ({
  id,
  at: 1,
  tenant: 'acme',
  generation: 2,
  kind,
  message: 'x',
  details,
});

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** An outbox whose messages are sent and acknowledged at once, and the ids of the events in each. */
function sending() {
  const outbox = createOutbox({ flushMs: 50, progressMs: 250 });
  const sent: string[][] = [];
  outbox.onWaiting(() => {
    for (let next = outbox.next(); next !== null; next = outbox.next())
      sent.push(Report.parse(JSON.parse(next.text)).events.map((each) => each.id));
    outbox.acknowledge(Number.MAX_SAFE_INTEGER);
  });
  return { outbox, sent };
}

test('what a rollout waits for is told in the same breath, with all that was said in it', () => {
  const { outbox, sent } = sending();
  outbox.event(event('step', 'tenant.step', { step: 'route.verify', state: 'done' }));
  vi.advanceTimersByTime(30);
  outbox.event(event('live', 'tenant.live'));
  outbox.event(event('next', 'tenant.step', { step: 'drain', state: 'started' }));
  expect(sent).toEqual([]);
  vi.advanceTimersByTime(1);
  expect(sent).toEqual([['step', 'live', 'next']]);
});

test('what comes soon after a message waits and goes together, so that many make no more messages', () => {
  const { outbox, sent } = sending();
  for (let at = 0; at < 500; at += 10) {
    outbox.event(event(`live-${at}`, 'tenant.live'));
    vi.advanceTimersByTime(10);
  }
  vi.advanceTimersByTime(50);
  expect(sent.flat()).toHaveLength(50);
  expect(sent.length).toBeLessThanOrEqual(11);
});

test('other news takes its moment, also when nothing was sent for long', () => {
  const { outbox, sent } = sending();
  vi.advanceTimersByTime(10_000);
  outbox.event(event('settled', 'tenant.settled'));
  vi.advanceTimersByTime(49);
  expect(sent).toEqual([]);
  vi.advanceTimersByTime(1);
  expect(sent).toEqual([['settled']]);
});
