import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { Store } from '../services/store.ts';

export interface Metrics {
  /** `route` is the template of the path, never the path itself: the number of series stays small. */
  observe(method: string, route: string, status: number, seconds: number): void;
  text(): Promise<string>;
  readonly contentType: string;
}

export interface MetricSources {
  store: Store;
  agents: () => number;
  streams: () => number;
  epoch: () => Promise<{ epoch: number; observing: boolean }>;
}

export function createMetrics({ store, agents, streams, epoch }: MetricSources): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
  const requests = new Counter({
    name: 'berth_http_requests_total',
    help: 'Requests by route template and status.',
    labelNames: ['method', 'route', 'status'],
    registers,
  });
  const seconds = new Histogram({
    name: 'berth_http_request_seconds',
    help: 'Time to the head of the answer, by route template.',
    labelNames: ['method', 'route'],
    buckets: [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5],
    registers,
  });
  new Gauge({
    name: 'berth_agents_online',
    help: 'Agents with a session.',
    registers,
    collect() {
      this.set(agents());
    },
  });
  new Gauge({
    name: 'berth_event_streams',
    help: 'Open event streams.',
    registers,
    collect() {
      this.set(streams());
    },
  });
  new Gauge({
    name: 'berth_hosts_behind',
    help: 'Hosts that have not acknowledged their newest desired state.',
    registers,
    async collect() {
      const lag = await store.lag();
      this.set(lag.hosts);
    },
  });
  new Gauge({
    name: 'berth_desired_lag_revisions',
    help: 'Revisions between what is desired and what the furthest host has acknowledged.',
    registers,
    async collect() {
      const lag = await store.lag();
      this.set(lag.revisions);
    },
  });
  new Gauge({
    name: 'berth_tenants',
    help: 'Tenants by what they are doing.',
    labelNames: ['state'],
    registers,
    async collect() {
      const { total: _total, ...counts } = await store.tenantCounts();
      for (const [state, count] of Object.entries(counts)) this.set({ state }, count);
    },
  });
  new Gauge({
    name: 'berth_observing',
    help: '1 while the coordinator only observes after a restore.',
    registers,
    async collect() {
      this.set((await epoch()).observing ? 1 : 0);
    },
  });
  return {
    contentType: registry.contentType,
    text: () => registry.metrics(),
    observe(method, route, status, took) {
      requests.inc({ method, route, status });
      seconds.observe({ method, route }, took);
    },
  };
}
