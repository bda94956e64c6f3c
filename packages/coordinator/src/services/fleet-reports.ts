import { setImmediate as breathe } from 'node:timers/promises';
import type { z } from 'zod';
import type { TrafficSample } from '@berth/shared/domain/traffic';
import type { Report } from '@berth/shared/protocol/messages';
import type { AgentEvent, HostReport, RemovalRequest, TenantReport } from '@berth/shared/protocol/report';
import type { FleetStore, IngestRecord } from './fleet-store.ts';
import type { Session } from './fleet-session.ts';
import { createTick, type Tick } from './fleet-tick.ts';
import type { Clock, Log } from './fleet-types.ts';

/** Text of reports that may wait for the store; beyond it the agents that send are not read until it has caught up. */
const WAITING_BYTES = 64 * 1024 * 1024;
/** Tenants, events and samples in one transaction: the embedded store holds up everything else while it writes. */
const ROWS_PER_INGEST = 1000;
/**
 * What comes by itself is written within a tick. While more comes it is a transaction each so often: agents gather
 * meanwhile, and a commit costs more than the rows in it.
 */
const SPACING_MS = 50;
/** The same where so many agents are connected: what they tell is of many tenants, and nobody waits for one of them. */
const FLEET_SPACING_MS = 100;
const FLEET_AGENTS = 20;

interface Waiting {
  tenants: Map<string, TenantReport>;
  events: AgentEvent[];
  report: HostReport | null;
  /** By key: a later sample replaces the earlier. */
  traffic: Map<string, TrafficSample>;
  at: number;
}

type FollowUp =
  | { kind: 'confirm'; host: string; request: RemovalRequest }
  | { kind: 'finish'; host: string; tenant: string; generation: number };

export interface Reports extends Tick {
  add(session: Session, message: z.infer<typeof Report>, bytes: number): void;
  waiting(): number;
}

/**
 * Takes reports in: the newest per tenant, one transaction per tick, and an acknowledgement only once it is committed.
 * While the store is slow or away, nothing is acknowledged and nothing is lost.
 */
export function createReports(options: {
  store: FleetStore;
  clock: Clock;
  log: Log;
  tickMs: number;
  /** How many are connected. */
  agents(): number;
  holds(host: string): boolean;
  changed(host: string): void;
}): Reports {
  const { store, clock, log } = options;
  let waiting = new Map<string, Waiting>();
  let bytesWaiting = 0;
  const acks = new Map<Session, number>();
  const followUps: FollowUp[] = [];
  const paused = new Set<Session>();

  async function run(): Promise<void> {
    const taken = waiting;
    const bytes = bytesWaiting;
    const owed = [...acks];
    waiting = new Map();
    for (const chunk of chunks(taken)) {
      try {
        await store.ingest(chunk.map(([host, each]) => recordOf(host, each)));
      } catch (thrown) {
        waiting = merged(taken, waiting);
        throw thrown;
      }
      for (const [host, each] of chunk) {
        taken.delete(host);
        for (const report of each.tenants.values())
          if (report.phase === 'removed')
            followUps.push({
              kind: 'finish',
              host,
              tenant: report.tenant,
              generation: report.generation,
            });
      }
      if (taken.size > 0) await breathe();
    }
    while (followUps[0] !== undefined) {
      await follow(followUps[0]);
      followUps.shift();
    }
    bytesWaiting -= bytes;
    for (const [session, seq] of owed) {
      if (acks.get(session) === seq) acks.delete(session);
      if (!session.closed) session.connection.tell(`{"type":"report.ack","seq":${seq}}`);
    }
    if (paused.size > 0 && bytesWaiting < WAITING_BYTES / 2) {
      for (const session of paused) {
        session.paused = false;
        if (!session.closed) session.connection.resume();
      }
      paused.clear();
    }
  }

  async function follow(up: FollowUp): Promise<void> {
    if (up.kind === 'finish') {
      await store.finishRemoval(up.host, up.tenant, up.generation, clock.now());
      options.changed(up.host);
      return;
    }
    // What a restored coordinator does not remember might still be wanted: no removal is confirmed before an operator
    // has looked. The agent asks again.
    if (options.holds(up.host)) return;
    const { tenant, generation, containers } = up.request;
    const answer = await store.confirmTombstone(up.host, tenant, generation, containers, clock.now());
    if (answer === 'confirmed') options.changed(up.host);
    else
      log.warn(
        { host: up.host, tenant, generation },
        'An agent asked to remove a tenant that is not to be removed.',
      );
  }

  const tick = createTick({
    ms: options.tickMs,
    spacingMs: () => (options.agents() >= FLEET_AGENTS ? FLEET_SPACING_MS : SPACING_MS),
    what: 'write reports',
    log,
    run,
  });

  return {
    ...tick,
    waiting: () => waiting.size,
    add(session, message, bytes) {
      let mine = waiting.get(session.host);
      if (mine === undefined) {
        mine = { tenants: new Map(), events: [], report: null, traffic: new Map(), at: 0 };
        waiting.set(session.host, mine);
      }
      mine.at = clock.now();
      for (const report of message.tenants) mine.tenants.set(report.tenant, report);
      for (const sample of message.traffic) mine.traffic.set(keyOf(sample), sample);
      for (const event of message.events) mine.events.push(event);
      mine.report = message.host ?? mine.report;
      for (const request of message.removals)
        followUps.push({ kind: 'confirm', host: session.host, request });
      acks.set(session, message.seq);
      bytesWaiting += bytes;
      if (bytesWaiting > WAITING_BYTES && !session.paused) {
        session.paused = true;
        paused.add(session);
        session.connection.pause();
      }
      tick.request();
    },
  };
}

function* chunks(all: ReadonlyMap<string, Waiting>): Generator<[string, Waiting][]> {
  let chunk: [string, Waiting][] = [];
  let size = 0;
  for (const entry of all) {
    chunk.push(entry);
    size += rowsIn(entry[1]);
    if (size < ROWS_PER_INGEST) continue;
    yield chunk;
    chunk = [];
    size = 0;
  }
  if (chunk.length > 0) yield chunk;
}

function rowsIn({ tenants, events, traffic }: Waiting): number {
  return tenants.size + events.length + traffic.size + 1;
}

function keyOf({ tenant, generation, slot, run }: TrafficSample): string {
  return `${tenant} ${generation} ${slot} ${run}`;
}

function recordOf(host: string, waiting: Waiting): IngestRecord {
  return {
    host,
    at: waiting.at,
    tenants: [...waiting.tenants.values()],
    events: waiting.events,
    report: waiting.report,
    traffic: [...waiting.traffic.values()],
  };
}

/** What could not be written, below what has come since. */
function merged(older: ReadonlyMap<string, Waiting>, newer: ReadonlyMap<string, Waiting>) {
  const all = new Map(older);
  for (const [host, now] of newer) {
    const before = all.get(host);
    all.set(
      host,
      before === undefined
        ? now
        : {
            tenants: new Map([...before.tenants, ...now.tenants]),
            events: [...before.events, ...now.events],
            report: now.report ?? before.report,
            traffic: new Map([...before.traffic, ...now.traffic]),
            at: now.at,
          },
    );
  }
  return all;
}
