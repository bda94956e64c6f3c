import type { TrafficSample } from '@berth/shared/domain/traffic';
import { PART_BYTES } from '@berth/shared/protocol/messages';
import type { AgentEvent, HostReport, RemovalRequest, TenantReport } from '@berth/shared/protocol/report';
import { mergeSteps } from './merge-steps.ts';
import { clampEvent, clampHost, clampRemoval, clampTenant } from './clamp.ts';
import { createDeliveries } from './deliveries.ts';
import { createPace, type Haste } from './pace.ts';

/** What waits to be told to the coordinator, at least once. Memory stays bounded however long nobody listens. */
export interface Outbox {
  /** The newest word on a tenant replaces the one before. */
  tenant(report: TenantReport): void;
  removal(request: RemovalRequest): void;
  event(event: AgentEvent): void;
  host(report: HostReport): void;
  /** Cumulative: the newest one of a tenant, generation, slot and run replaces the one before. */
  traffic(sample: TrafficSample): void;
  /**
   * The next report message as text; null when there is nothing to say, or when enough is unacknowledged already. What
   * it holds is kept until `acknowledge`.
   */
  next(): { seq: number; text: string } | null;
  /** Everything up to and with `seq` is on record at the coordinator. */
  acknowledge(seq: number): void;
  /** The connection is gone: what was not acknowledged will be told again, unless something newer replaced it. */
  restart(): void;
  /**
   * Resolves when all counts that wait now are on record at the coordinator; they are sent at once. Errors: `timeout` when
   * the signal aborts, `host_offline` when the connection is lost first.
   */
  delivered(signal: AbortSignal): Promise<void>;
  /** Calls back, a short moment after something began to wait, for as long as the subscription lasts. */
  onWaiting(listener: () => void): () => void;
  stats(): OutboxStats;
}

export interface OutboxStats {
  waiting: number;
  unacknowledged: number;
  /** Events that were dropped because too many waited. */
  dropped: number;
}

export interface OutboxOptions {
  /** From the first change to the message that tells of it, so that changes that come together go together. */
  flushMs?: number;
  /** The same for what nobody decides by: that a step began or ended well, and counts. */
  progressMs?: number;
  /** The same for a tenant's report in which nothing but steps and containers changed; their events go ahead of it. */
  detailMs?: number;
  maxEvents?: number;
  maxTenants?: number;
  maxTraffic?: number;
  tenantsPerMessage?: number;
  eventsPerMessage?: number;
  /** Messages that may be under way without an acknowledgement. */
  window?: number;
}

const REMOVALS_PER_MESSAGE = 20;
const TRAFFIC_PER_MESSAGE = 500;

interface Batch {
  seq: number;
  tenants: TenantReport[];
  removals: RemovalRequest[];
  events: AgentEvent[];
  traffic: TrafficSample[];
  host: HostReport | null;
}

/** An empty outbox. */
export function createOutbox(options: OutboxOptions = {}): Outbox {
  const flushMs = options.flushMs ?? 50;
  const progressMs = Math.max(options.progressMs ?? 500, flushMs);
  const waits = {
    news: flushMs,
    progress: progressMs,
    detail: Math.max(options.detailMs ?? 2000, progressMs),
  };
  const maxEvents = options.maxEvents ?? 2000;
  const maxTenants = options.maxTenants ?? 20_000;
  const maxTraffic = options.maxTraffic ?? 20_000;
  const perMessage = Math.min(options.tenantsPerMessage ?? 100, 500);
  const eventsPerMessage = Math.min(options.eventsPerMessage ?? 200, 500);
  const window = options.window ?? 2;

  let tenants = new Map<string, TenantReport>();
  /** Newer than what was told, but by nothing that anybody decides by; not in `tenants`. */
  let details = new Map<string, TenantReport>();
  let removals = new Map<string, RemovalRequest>();
  let events: AgentEvent[] = [];
  let traffic = new Map<string, TrafficSample>();
  let host: HostReport | null = null;
  let underWay: Batch[] = [];
  let seq = 0;
  let dropped = 0;
  /** Something was held back because too much was unacknowledged. */
  let full = false;
  /** Of each tenant, what others decide by in the newest word on it. */
  const standings = new Map<string, string>();
  const listeners = new Set<() => void>();
  const deliveries = createDeliveries();

  const isEmpty = (): boolean =>
    tenants.size === 0 && removals.size === 0 && events.length === 0 && traffic.size === 0 && host === null;

  const pace = createPace(waits, (what) => {
    if (what === 'all') promoteDetails();
    tellAll();
  });

  function want(haste: Haste): void {
    if (listeners.size > 0) pace.want(haste);
  }

  function tellAll(): void {
    for (const listener of listeners) listener();
  }

  function promoteDetails(): void {
    for (const [name, report] of details) tenants.set(name, report);
    details = new Map();
  }

  /** Whether anything that others decide by has changed since the last word on the tenant. */
  function stands({ tenant, generation, live, phase, problem }: TenantReport): boolean {
    // A move's beginning, its steps and its tidying up are read in its events; what it leads to counts.
    const then = phase !== 'moving' ? phase : live === generation ? 'baking' : 'settled';
    const of = phase === 'moving' && live !== null ? live : generation;
    const standing = `${of} ${live} ${then} ${problem?.at ?? ''}`;
    const same = standings.get(tenant) === standing;
    standings.delete(tenant);
    standings.set(tenant, standing);
    for (const key of standings.keys()) {
      if (standings.size <= maxTenants) break;
      standings.delete(key);
    }
    return same;
  }

  function boundEvents(): void {
    const surplus = events.length - maxEvents;
    if (surplus <= 0) return;
    events.splice(0, surplus);
    dropped += surplus;
  }

  function boundMap(map: Map<string, unknown>, max: number): void {
    for (const key of map.keys()) {
      if (map.size <= max) return;
      map.delete(key);
      dropped += 1;
    }
  }

  return {
    tenant(report) {
      const waiting = tenants.delete(report.tenant);
      const news = !stands(report);
      details.delete(report.tenant);
      if (!news && !waiting) {
        details.set(report.tenant, clampTenant(report));
        boundMap(details, maxTenants);
        want('detail');
        return;
      }
      tenants.set(report.tenant, clampTenant(report));
      boundMap(tenants, maxTenants);
      want(news ? 'news' : 'progress');
    },
    removal(request) {
      removals.set(request.tenant, clampRemoval(request));
      want('news');
    },
    event(event) {
      events.push(clampEvent(event));
      boundEvents();
      want(hasteOf(event));
    },
    host(report) {
      host = clampHost(report);
      want('news');
    },
    traffic(sample) {
      const key = trafficKey(sample);
      traffic.delete(key);
      traffic.set(key, sample);
      boundMap(traffic, maxTraffic);
      want('progress');
    },

    next() {
      if (isEmpty()) return null;
      full = underWay.length >= window;
      if (full) return null;
      seq += 1;
      const batch: Batch = { seq, tenants: [], removals: [], events: [], traffic: [], host };
      host = null;
      let room = PART_BYTES - (batch.host === null ? 0 : Buffer.byteLength(JSON.stringify(batch.host)));
      // The first item always fits, so that a large one cannot be stuck for ever.
      const fits = (item: object): boolean => {
        const size = Buffer.byteLength(JSON.stringify(item));
        const first =
          batch.tenants.length + batch.removals.length + batch.events.length + batch.traffic.length === 0;
        if (!first && size > room) return false;
        room -= size;
        return true;
      };
      for (const [name, request] of removals) {
        if (batch.removals.length >= REMOVALS_PER_MESSAGE || !fits(request)) break;
        batch.removals.push(request);
        removals.delete(name);
      }
      for (const [name, report] of tenants) {
        if (batch.tenants.length >= perMessage || !fits(report)) break;
        batch.tenants.push(report);
        tenants.delete(name);
      }
      events = mergeSteps(events);
      let taken = 0;
      for (const event of events) {
        if (taken >= eventsPerMessage || !fits(event)) break;
        taken += 1;
      }
      batch.events = events.splice(0, taken);
      for (const [key, sample] of traffic) {
        if (batch.traffic.length >= TRAFFIC_PER_MESSAGE || !fits(sample)) break;
        batch.traffic.push(sample);
        traffic.delete(key);
      }
      underWay.push(batch);
      if (traffic.size === 0) deliveries.sent(seq);
      return { seq, text: JSON.stringify({ type: 'report', ...batch }) };
    },

    acknowledge(upTo) {
      underWay = underWay.filter((batch) => batch.seq > upTo);
      deliveries.acknowledged(upTo);
      // Anything else waits for its own time: an acknowledgement comes many times a second while tenants move.
      if (full && underWay.length < window) tellAll();
    },

    restart() {
      const again = underWay;
      underWay = [];
      deliveries.lost();
      const older = new Map<string, TenantReport>();
      const asked = new Map<string, RemovalRequest>();
      const counted = new Map<string, TrafficSample>();
      let past: HostReport | null = null;
      for (const batch of again) {
        for (const report of batch.tenants) older.set(report.tenant, report);
        for (const request of batch.removals) asked.set(request.tenant, request);
        for (const sample of batch.traffic) counted.set(trafficKey(sample), sample);
        past = batch.host ?? past;
      }
      tenants = new Map([...older, ...tenants]);
      promoteDetails();
      full = false;
      removals = new Map([...asked, ...removals]);
      traffic = new Map([...counted, ...traffic]);
      host = host ?? past;
      events = [...again.flatMap((batch) => batch.events), ...events];
      boundEvents();
      boundMap(tenants, maxTenants);
      boundMap(traffic, maxTraffic);
      if (!isEmpty()) want('news');
    },

    delivered(signal) {
      if (traffic.size === 0 && underWay.every((batch) => batch.traffic.length === 0))
        return Promise.resolve();
      const promise = deliveries.wait(traffic.size === 0 ? seq : null, signal);
      pace.told();
      tellAll();
      return promise;
    },

    onWaiting(listener) {
      listeners.add(listener);
      promoteDetails();
      if (!isEmpty()) want('news');
      return () => {
        listeners.delete(listener);
        if (listeners.size > 0) return;
        pace.stop();
      };
    },

    stats: () => ({
      waiting:
        tenants.size + details.size + removals.size + events.length + traffic.size + (host === null ? 0 : 1),
      unacknowledged: underWay.length,
      dropped,
    }),
  };
}

/** A rollout begins with the next tenant when it hears of the one before. */
const AWAITED: ReadonlySet<AgentEvent['kind']> = new Set(['tenant.live', 'tenant.failed', 'tenant.returned']);

function hasteOf({ kind, details }: AgentEvent): Haste {
  if (AWAITED.has(kind)) return 'awaited';
  // A step that began or ended well.
  return kind === 'tenant.step' && details['state'] !== 'failed' ? 'progress' : 'news';
}

function trafficKey({ tenant, generation, slot, run }: TrafficSample): string {
  return `${tenant} ${generation} ${slot} ${run}`;
}
