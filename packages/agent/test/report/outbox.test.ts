import fc from 'fast-check';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { MAX_FRAME_BYTES, Report } from '@berth/shared/protocol/messages';
import type { AgentEvent, HostReport, TenantReport } from '@berth/shared/protocol/report';
import { noTraffic, type TrafficSample } from '@berth/shared/domain/traffic';
import type { z } from 'zod';
import { createOutbox, type Outbox } from '../../src/report/outbox.ts';

const report = (tenant: string, at: number, fields: Partial<TenantReport> = {}): TenantReport => ({
  tenant,
  generation: 1,
  live: 1,
  phase: 'settled',
  at,
  steps: [],
  problem: null,
  retryAt: null,
  containers: [],
  ...fields,
});
const event = (id: string, fields: Partial<AgentEvent> = {}): AgentEvent => ({
  id,
  at: 1,
  tenant: null,
  generation: null,
  kind: 'host.orphan',
  message: 'x',
  details: {},
  ...fields,
});
const host = (containers: number): HostReport => ({
  memoryTotalBytes: 1,
  memoryAvailableBytes: 1,
  diskTotalBytes: 1,
  diskAvailableBytes: 1,
  cpus: 1,
  docker: 'up',
  nginx: 'up',
  containers,
  orphans: [],
});

function take(outbox: Outbox) {
  const next = outbox.next();
  if (next === null) return null;
  expect(Buffer.byteLength(next.text)).toBeLessThanOrEqual(MAX_FRAME_BYTES);
  return Report.parse(JSON.parse(next.text));
}

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

test('of one tenant only the newest word is told', () => {
  const outbox = createOutbox();
  for (let at = 1; at <= 100; at += 1) outbox.tenant(report('acme', at));
  outbox.tenant(report('globex', 1));
  expect(take(outbox)?.tenants.map((each) => [each.tenant, each.at])).toEqual([
    ['acme', 100],
    ['globex', 1],
  ]);
  expect(take(outbox)).toBeNull();
});

test('what was not acknowledged is told again, unless something newer replaced it', () => {
  const outbox = createOutbox();
  outbox.tenant(report('acme', 1));
  outbox.tenant(report('globex', 1));
  outbox.event(event('e1'));
  outbox.host(host(1));
  expect(take(outbox)?.seq).toBe(1);
  outbox.tenant(report('acme', 2));
  outbox.event(event('e2'));
  outbox.restart();
  const again = take(outbox);
  expect(again?.seq).toBe(2);
  expect(again?.tenants.map((each) => [each.tenant, each.at])).toEqual([
    ['acme', 2],
    ['globex', 1],
  ]);
  expect(again?.events.map((each) => each.id)).toEqual(['e1', 'e2']);
  expect(again?.host?.containers).toBe(1);
  outbox.acknowledge(2);
  outbox.restart();
  expect(take(outbox)).toBeNull();
});

test('of one count of requests only the newest word is told, at least once, and at most 500 at a time', () => {
  const outbox = createOutbox({ maxTraffic: 600 });
  const sample = (tenant: string, requests: number, slot = 0): TrafficSample => ({
    tenant,
    generation: 1,
    slot,
    run: 7,
    traffic: { ...noTraffic(), requests },
  });
  outbox.traffic(sample('acme', 1));
  outbox.traffic(sample('acme', 5));
  outbox.traffic(sample('acme', 2, 600_000));
  const counts = (message: ReturnType<typeof take>) =>
    message?.traffic.map((each) => each.traffic.requests) ?? [];
  expect(counts(take(outbox))).toEqual([5, 2]);
  outbox.traffic(sample('acme', 9));
  outbox.restart();
  expect(counts(take(outbox)).sort((a, b) => a - b)).toEqual([2, 9]);
  outbox.acknowledge(2);
  for (let index = 0; index < 700; index += 1) outbox.traffic(sample(`t${index}`, index));
  expect(outbox.stats()).toMatchObject({ waiting: 600, dropped: 100 });
  const [first, second] = [counts(take(outbox)), counts(take(outbox))];
  expect([first.length, second.length]).toEqual([500, 100]);
  expect(first[0]).toBe(100);
});

test('listeners are called a short moment after the first change, once for all that came with it', () => {
  const outbox = createOutbox({ flushMs: 20 });
  const calls: number[] = [];
  const stop = outbox.onWaiting(() => {
    calls.push(outbox.stats().waiting);
    take(outbox);
  });
  outbox.tenant(report('acme', 1));
  vi.advanceTimersByTime(19);
  outbox.tenant(report('globex', 1));
  expect(calls).toEqual([]);
  vi.advanceTimersByTime(1);
  expect(calls).toEqual([2]);
  stop();
  outbox.tenant(report('acme', 2));
  vi.advanceTimersByTime(1000);
  expect(calls).toEqual([2]);
});

test('no more messages are under way than the window allows', () => {
  const outbox = createOutbox({ window: 2, tenantsPerMessage: 1 });
  for (const name of ['a', 'b', 'c', 'd']) outbox.tenant(report(name, 1));
  expect([take(outbox)?.seq, take(outbox)?.seq, take(outbox)]).toEqual([1, 2, null]);
  outbox.acknowledge(1);
  expect(take(outbox)?.seq).toBe(3);
});

test('days without a coordinator cost bounded memory, and what was dropped is counted', () => {
  const outbox = createOutbox({ maxEvents: 100, maxTenants: 50 });
  for (let index = 0; index < 5000; index += 1) {
    outbox.event(event(`e${index}`));
    outbox.tenant(report(`t${index % 60}`, index));
  }
  expect(outbox.stats().waiting).toBeLessThanOrEqual(150);
  expect(outbox.stats().dropped).toBeGreaterThanOrEqual(4900);
  const first = take(outbox);
  expect(first?.events[0]?.id).toBe('e4900');
});

test('a report that is too long is cut, never refused', () => {
  const outbox = createOutbox();
  const long = 'ä'.repeat(10_000);
  outbox.tenant(
    report('acme', 1, {
      steps: Array.from({ length: 90 }, () => ({
        kind: 'drain',
        title: long,
        state: 'done',
        startedAt: 1,
        ms: 1,
      })),
      problem: {
        code: 'health_failed',
        message: long,
        step: 'containers.probe',
        service: null,
        logTail: Array.from({ length: 40 }, () => long),
        at: 1,
      },
      containers: Array.from({ length: 300 }, () => ({
        id: 'x',
        name: 'n',
        service: 'web',
        replica: 1,
        generation: 1,
        role: 'colour',
        state: 'running',
        health: 'none',
        address: '198.19.0.1',
      })),
    }),
  );
  outbox.event(event('e', { message: long, details: { long: long.repeat(10) } }));
  const told = take(outbox);
  expect(told?.tenants[0]?.steps).toHaveLength(60);
  expect(told?.events[0]?.details).toEqual({ leftOut: expect.stringContaining('bytes') });
});

test('whatever is put in, lost and acknowledged, the last word on every tenant arrives', () => {
  const moves = fc.array(
    fc.oneof(
      fc.record({ kind: fc.constant('put'), tenant: fc.constantFrom('a', 'b', 'c', 'd') }),
      fc.record({ kind: fc.constantFrom('take', 'ack', 'lose'), tenant: fc.constant('') }),
    ),
    { maxLength: 80 },
  );
  fc.assert(
    fc.property(moves, (story) => {
      const outbox = createOutbox({ tenantsPerMessage: 2 });
      const wanted = new Map<string, number>();
      const arrived = new Map<string, number>();
      const underWay: z.infer<typeof Report>[] = [];
      const deliver = (): void => {
        for (const message of underWay.splice(0)) {
          for (const each of message.tenants) arrived.set(each.tenant, each.at);
          outbox.acknowledge(message.seq);
        }
      };
      let at = 0;
      for (const move of story) {
        at += 1;
        if (move.kind === 'put') {
          outbox.tenant(report(move.tenant, at));
          wanted.set(move.tenant, at);
        } else if (move.kind === 'take') {
          const message = take(outbox);
          if (message !== null) underWay.push(message);
        } else if (move.kind === 'ack') deliver();
        else {
          underWay.length = 0;
          outbox.restart();
        }
      }
      underWay.length = 0;
      outbox.restart();
      for (let message = take(outbox); message !== null; message = take(outbox)) {
        underWay.push(message);
        deliver();
      }
      expect(arrived).toEqual(wanted);
    }),
    { verbose: 1 },
  );
});

test('how far the steps are is told a little later than what others decide by', () => {
  const outbox = createOutbox({ flushMs: 50, progressMs: 250, detailMs: 60_000 });
  let told = 0;
  outbox.onWaiting(() => {
    told += 1;
    while (outbox.next() !== null);
    outbox.acknowledge(Number.MAX_SAFE_INTEGER);
  });
  const step = (state: string): void =>
    outbox.event(
      event(`e-${state}`, { kind: 'tenant.step', tenant: 'acme', details: { step: 'drain', state } }),
    );
  outbox.tenant(report('acme', 1, { phase: 'moving' }));
  vi.advanceTimersByTime(50);
  expect(told).toBe(1);
  outbox.tenant(report('acme', 2, { phase: 'moving' }));
  step('started');
  vi.advanceTimersByTime(249);
  expect(told).toBe(1);
  vi.advanceTimersByTime(1);
  expect(told).toBe(2);
  step('done');
  vi.advanceTimersByTime(100);
  outbox.tenant(report('acme', 3, { phase: 'baking', live: 2 }));
  vi.advanceTimersByTime(50);
  expect(told).toBe(3);
  step('failed');
  vi.advanceTimersByTime(50);
  expect(told).toBe(4);
  vi.advanceTimersByTime(2_000);
  expect(told).toBe(4);
});

test('a report that tells of steps alone waits longest, and goes with what others decide by', () => {
  const outbox = createOutbox({ flushMs: 50, progressMs: 250, detailMs: 2_000 });
  const told: number[] = [];
  outbox.onWaiting(() => {
    for (let next = take(outbox); next !== null; next = take(outbox)) {
      for (const { at } of next.tenants) told.push(at);
      outbox.acknowledge(next.seq);
    }
  });
  outbox.tenant(report('acme', 1));
  vi.advanceTimersByTime(50);
  expect(told).toEqual([1]);
  // A move begins and goes on; its events tell of it.
  outbox.tenant(report('acme', 2, { generation: 2, phase: 'moving' }));
  vi.advanceTimersByTime(500);
  outbox.tenant(report('acme', 3, { generation: 2, phase: 'moving' }));
  outbox.event(event('e1', { kind: 'tenant.step', details: { step: 'drain', state: 'started' } }));
  expect(outbox.stats().waiting).toBe(2);
  vi.advanceTimersByTime(1_499);
  expect(told).toEqual([1]);
  vi.advanceTimersByTime(1);
  expect(told).toEqual([1, 3]);
  // It serves: what had been put off until then is out of date.
  outbox.tenant(report('acme', 4, { generation: 2, phase: 'moving' }));
  outbox.tenant(report('acme', 5, { generation: 2, phase: 'baking', live: 2 }));
  vi.advanceTimersByTime(50);
  expect(told).toEqual([1, 3, 5]);
  vi.advanceTimersByTime(10_000);
  expect(told).toEqual([1, 3, 5]);
  // What was put off when the connection went is told at the next one.
  outbox.tenant(report('acme', 6, { generation: 2, phase: 'moving', live: 2 }));
  outbox.restart();
  vi.advanceTimersByTime(50);
  expect(told).toEqual([1, 3, 5, 6]);
});

test('what had no room in the messages under way follows an acknowledgement, and progress is not hurried by one', () => {
  const outbox = createOutbox({ flushMs: 50, progressMs: 250, window: 1 });
  const told: string[] = [];
  let last = 0;
  outbox.onWaiting(() => {
    for (let next = take(outbox); next !== null; next = take(outbox)) {
      last = next.seq;
      told.push(next.events.map(({ id }) => id).join());
    }
  });
  outbox.event(event('a'));
  vi.advanceTimersByTime(50);
  outbox.event(event('b'));
  vi.advanceTimersByTime(5_000);
  expect(told).toEqual(['a']);
  outbox.acknowledge(last);
  expect(told).toEqual(['a', 'b']);
  outbox.event(event('c', { kind: 'tenant.step', details: { state: 'started' } }));
  outbox.acknowledge(last);
  vi.advanceTimersByTime(249);
  expect(told).toEqual(['a', 'b']);
  vi.advanceTimersByTime(1);
  expect(told).toEqual(['a', 'b', 'c']);
});
