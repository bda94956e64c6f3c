import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DesiredTenant } from '@berth/shared/domain/desired';
import type { TenantReport } from '@berth/shared/protocol/report';
import { attachGateway } from '@berth/coordinator/gateway/attach';
import { createFleet } from '@berth/coordinator/services/fleet';
import type { Fleet, HeartbeatSettings, Log } from '@berth/coordinator/services/fleet-types';
import { createReceiver } from '@berth/agent/desired/receive';
import { createLink } from '@berth/agent/link/link';
import type { LinkOptions } from '@berth/agent/link/handlers';
import { createOutbox, type Outbox } from '@berth/agent/report/outbox';
import { openState, type AgentState } from '@berth/agent/state/open';
import { MemoryFleetStore } from './fleet-store.ts';

const clock = { now: () => Date.now() };

/** A log that keeps what was said. */
export function listeningLog(): Log & { lines: string[] } {
  const lines: string[] = [];
  const add = (_fields: object, message: string): void => {
    lines.push(message);
  };
  return { lines, debug: add, info: add, warn: add, error: add };
}

export interface CoordinatorUnderTest {
  url: string;
  port: number;
  fleet: Fleet;
  store: MemoryFleetStore;
  log: Log & { lines: string[] };
  connections(): number;
  /** A graceful stop: agents are told. */
  stop(): Promise<void>;
}

/** The real gateway and fleet on a real port, over a store in memory. */
export async function startCoordinator(
  options: {
    store?: MemoryFleetStore;
    port?: number;
    heartbeat?: HeartbeatSettings;
    helloTimeoutMs?: number;
    sweepMs?: number;
    closeMs?: number;
    mostOpening?: number;
  } = {},
): Promise<CoordinatorUnderTest> {
  const store = options.store ?? new MemoryFleetStore();
  const log = listeningLog();
  const stopping = new AbortController();
  const server = createServer((_request, response) => response.writeHead(404).end());
  const fleet = await createFleet({
    store,
    clock,
    random: Math.random,
    log,
    ...(options.heartbeat === undefined ? {} : { heartbeat: options.heartbeat }),
  });
  const gateway = attachGateway({
    server,
    fleet,
    clock,
    log,
    signal: stopping.signal,
    sweepMs: options.sweepMs ?? 50,
    ...(options.closeMs === undefined ? {} : { closeMs: options.closeMs }),
    ...(options.mostOpening === undefined ? {} : { mostOpening: options.mostOpening }),
    ...(options.helloTimeoutMs === undefined ? {} : { helloTimeoutMs: options.helloTimeoutMs }),
  });
  server.listen({ host: '127.0.0.1', port: options.port ?? 0, backlog: 4096 });
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return {
    url: `http://127.0.0.1:${address.port}`,
    port: address.port,
    fleet,
    store,
    log,
    connections: gateway.connections,
    async stop() {
      stopping.abort();
      await gateway.closed;
      await fleet.close();
      server.close();
      await once(server, 'close');
    },
  };
}

export interface AgentUnderTest {
  state: AgentState;
  outbox: Outbox;
  log: Log & { lines: string[] };
  /** What the loop was told, in order. */
  told: string[];
  stop(): Promise<void>;
}

/** The real link, state and outbox of an agent, without a loop. */
export async function startAgent(
  coordinator: { url: string; store: MemoryFleetStore },
  options: { host: string; directory: string; answer?: LinkOptions['answer']; random?: () => number },
): Promise<AgentUnderTest> {
  const state = await openState(options.directory, { clock });
  if (state.identity.host() === null) await state.identity.bind(options.host);
  if (!coordinator.store.hosts.has(options.host))
    coordinator.store.enrol(options.host, state.identity.publicKey);
  const outbox = createOutbox({ flushMs: 5 });
  const log = listeningLog();
  const told: string[] = [];
  const stopping = new AbortController();
  const link = createLink({
    url: coordinator.url,
    state,
    outbox,
    clock,
    // Small delays: the tests wait for what happens, not for time to pass.
    random: options.random ?? (() => 0.1),
    log,
    facts: () => ({
      agentVersion: '0.1.0',
      bootId: 'boot',
      capacity: { memoryBytes: 1, cpus: 1, diskBytes: 1 },
      facts: {},
      ingress: { address: '127.0.0.1', port: 80 },
    }),
    answer: options.answer ?? (() => Promise.resolve({ kind: 'plan', steps: [] })),
    receiver: () =>
      createReceiver({
        store: state.desired,
        log,
        onDesired: (next, changed, orphans) =>
          told.push(
            `desired ${next.epoch}/${next.revision} changed ${changed.join(',')} orphans ${orphans.join(',')}`,
          ),
        onMode: (mode) => told.push(`mode ${mode}`),
      }),
    onOnline: () => told.push('online'),
    onOffline: () => told.push('offline'),
  });
  const running = link.run(stopping.signal);
  return {
    state,
    outbox,
    log,
    told,
    async stop() {
      stopping.abort();
      await running;
    },
  };
}

/** A directory that is gone when the test is over, whatever happened. */
export async function scratch(): Promise<{ path: string; remove(): Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), 'berth-link-'));
  return { path, remove: () => rm(path, { recursive: true, force: true }) };
}

/** Waits until something is so, and says what it waited for when it is not. */
export async function eventually(what: string, check: () => boolean, withinMs = 15_000): Promise<void> {
  const end = Date.now() + withinMs;
  while (!check()) {
    if (Date.now() > end) throw new Error(`not within ${withinMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** A tenant as a coordinator would want it: one web service with a route. About 1.3 KB. */
export function desiredTenant(
  tenant: string,
  generation = 1,
  variables: Record<string, string> = {},
): DesiredTenant {
  return {
    tenant,
    app: 'shop',
    release: 1,
    generation,
    state: 'running',
    domains: [`${tenant}.example.com`],
    spec: {
      services: [
        {
          name: 'web',
          image:
            'registry.example.com/shop-web@sha256:6b8f0c1e4a3f4c0f9b6f3f0f6b0b2d4c9a7f5e1d3c2b1a09f8e7d6c5b4a39281',
          pullPolicy: 'missing',
          command: ['/app/web'],
          environment: { STORE: tenant, DATABASE_URL: `postgres://db/${tenant}`, ...variables },
          groupAdd: [],
          init: true,
          tty: false,
          stdinOpen: false,
          stopGraceMs: 10_000,
          healthcheck: {
            test: ['CMD', '/app/health'],
            intervalMs: 2000,
            timeoutMs: 1000,
            retries: 3,
            startPeriodMs: 0,
            startIntervalMs: 250,
          },
          volumes: [],
          tmpfs: [{ target: '/tmp', sizeBytes: 67_108_864 }],
          limits: { memoryBytes: 268_435_456, cpus: 0.5, pids: 256 },
          reservation: { memoryBytes: 134_217_728, cpus: 0.1 },
          ulimits: {},
          sysctls: {},
          extraHosts: {},
          logging: { driver: 'json-file', options: { 'max-size': '10m' } },
          labels: {},
          dependsOn: [],
          replicas: 1,
          restart: 'always',
          strategy: 'blue-green',
          profile: 'restricted',
          route: { port: 8080, path: '/', health: '/' },
          drainMs: 30_000,
        },
      ],
      volumes: [],
      bakeMs: 120_000,
    },
  };
}

/** A report as an agent would send it. */
export function tenantReport(tenant: string, fields: Partial<TenantReport> = {}): TenantReport {
  return {
    tenant,
    generation: 1,
    live: 1,
    phase: 'settled',
    at: 1_700_000_000_000,
    steps: [],
    problem: null,
    retryAt: null,
    containers: [],
    ...fields,
  };
}
