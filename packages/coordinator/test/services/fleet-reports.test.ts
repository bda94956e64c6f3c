import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { noTraffic, type TrafficSample } from '@berth/shared/domain/traffic';
import { Report } from '@berth/shared/protocol/messages';
import { MemoryFleetStore } from '../../../../test/fakes/fleet-store.ts';
import { createReports } from '../../src/services/fleet-reports.ts';
import { Session } from '../../src/services/fleet-session.ts';
import type { IngestRecord } from '../../src/services/fleet-store.ts';
import { hostId } from '../support/samples.ts';

const log = { debug() {}, info() {}, warn() {}, error() {} };

/** Keeps what it is given to ingest. */
class Keeping extends MemoryFleetStore {
  readonly batches: (readonly IngestRecord[])[] = [];
  override async ingest(batch: readonly IngestRecord[]): Promise<void> {
    await super.ingest(batch);
    this.batches.push(batch);
  }
}

let store: Keeping;
beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] });
  store = new Keeping();
});
afterEach(() => void vi.useRealTimers());

function reportsOn(agents = 1) {
  const told: string[] = [];
  const reports = createReports({
    store,
    clock: { now: () => 1 },
    log,
    tickMs: 10,
    agents: () => agents,
    holds: () => false,
    changed() {},
  });
  const connection = {
    heardAt: 0,
    tell: (text: string) => void told.push(text),
    pause() {},
    resume() {},
    close() {},
  };
  const session = new Session(hostId(1), connection, { heartbeatMs: 1000, timeoutMs: 3000 }, 'apply', 'key');
  let seq = 0;
  const say = (...traffic: TrafficSample[]): void => {
    const message = { type: 'report', seq: (seq += 1), tenants: [], removals: [], events: [], host: null };
    reports.add(session, Report.parse({ ...message, traffic }), 100);
  };
  return { reports, told, say };
}

const sample = (tenant: string, requests: number, slot = 0): TrafficSample => ({
  tenant,
  generation: 1,
  slot,
  run: 5,
  traffic: { ...noTraffic(), requests },
});
const written = () =>
  store.batches.map((batch) =>
    batch.flatMap(({ traffic }) => traffic.map((each) => [each.tenant, each.slot, each.traffic.requests])),
  );

test('of samples that come together only the last of each key is written', async () => {
  const { reports, told, say } = reportsOn();
  say(sample('acme', 1), sample('globex', 1));
  say(sample('acme', 2), sample('acme', 3, 600_000));
  await vi.advanceTimersByTimeAsync(20);
  await vi.waitFor(() => expect(told.length).toBeGreaterThan(0));
  await reports.stop();
  expect(written()).toEqual([
    [
      ['acme', 0, 2],
      ['globex', 0, 1],
      ['acme', 600_000, 3],
    ],
  ]);
});

test('samples that could not be written are written later, below those that came since', async () => {
  const { reports, told, say } = reportsOn();
  store.failure = new Error('away');
  say(sample('acme', 1), sample('globex', 1));
  await vi.advanceTimersByTimeAsync(20);
  expect(told).toEqual([]);
  say(sample('acme', 2));
  store.failure = null;
  await vi.advanceTimersByTimeAsync(5000);
  await vi.waitFor(() => expect(told.length).toBeGreaterThan(0));
  await reports.stop();
  expect(written()).toEqual([
    [
      ['acme', 0, 2],
      ['globex', 0, 1],
    ],
  ]);
});

test.each([
  { agents: 19, apart: 50 },
  { agents: 20, apart: 100 },
])('what keeps coming from $agents agents is written every $apart ms', async ({ agents, apart }) => {
  const { reports, say } = reportsOn(agents);
  say(sample('acme', 1));
  await vi.advanceTimersByTimeAsync(10);
  expect(store.batches).toHaveLength(1);
  say(sample('acme', 2));
  await vi.advanceTimersByTimeAsync(apart - 1);
  expect(store.batches).toHaveLength(1);
  await vi.advanceTimersByTimeAsync(2);
  expect(store.batches).toHaveLength(2);
  await reports.stop();
});
