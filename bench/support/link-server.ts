import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { join } from 'node:path';
import { WebSocketServer } from 'ws';
import { z } from 'zod';
import { MAX_FRAME_BYTES, SUBPROTOCOL } from '@berth/shared/protocol/messages';
import { attachGateway } from '@berth/coordinator/gateway/attach';
import { createFleet } from '@berth/coordinator/services/fleet';
import { desiredMessages } from '@berth/coordinator/services/fleet-wire';
import { openStore } from '@berth/coordinator/store/open';
import type { FleetStore } from '@berth/coordinator/services/fleet-store';
import type { TenantRecord } from '@berth/coordinator/services/records';
import type { Fleet } from '@berth/coordinator/services/fleet-types';
import {
  hostId,
  ServerArguments,
  tenantOf,
  tenantsOf,
  ToServer,
  type FromServer,
  type Measure,
} from './link-messages.ts';
import { sampleTenant } from './link-sample.ts';

/**
 * The server of the link bench in a process of its own: the real gateway, fleet and SQLite store, or the floor, a bare
 * `ws` server that exchanges as many frames of the same size and thinks nothing.
 */
const [role, agentCount, listenPort, directory, freshness] = process.argv.slice(2);
const { agents, fresh, ...given } = ServerArguments.parse({
  role,
  agents: agentCount,
  port: listenPort,
  directory,
  fresh: freshness,
});
const clock = { now: () => Date.now() };
const quiet = {
  debug() {},
  info() {},
  warn() {},
  error: (fields: object, text: string) => console.error(text, fields),
};
const by = { actor: 'bench', requestId: '' };

const tell = (message: z.infer<typeof FromServer>): void => {
  process.send?.(message);
};

/** At rest: V8 gives pages back some time after a collection. CPU is counted until all that was put off is done, too. */
async function measure(settled: () => Promise<void>): Promise<Measure> {
  await settled();
  const cpu = cpuMs();
  for (let round = 0; round < 3; round += 1) {
    globalThis.gc?.();
    await new Promise((resolve) => setTimeout(resolve, 150));
  }
  const { rss, heapUsed } = process.memoryUsage();
  return { rssBytes: rss, privateBytes: privateBytes(), heapBytes: heapUsed, cpuMs: cpu };
}

/** What no other process shares: RSS without the pages of Node's own binary and of libraries. */
function privateBytes(): number {
  const rollup = readFileSync('/proc/self/smaps_rollup', 'utf8');
  const kb = (name: string): number =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(rollup)?.[1] ?? 0);
  return (kb('Private_Clean') + kb('Private_Dirty')) * 1024;
}

function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** Resolves once something happened as often as there are agents. */
function counter(): { count(by: number): void; all(): Promise<void> } {
  let seen = 0;
  let wake: (() => void) | null = null;
  return {
    count(by) {
      seen += by;
      if (seen >= agents) wake?.();
    },
    all() {
      seen = 0;
      return new Promise((resolve) => (wake = resolve));
    },
  };
}

/** Time until every acknowledgement is here; CPU also of what is done with them afterwards. */
async function timed(
  acks: { all(): Promise<void> },
  recorded: { all(): Promise<void> } | null,
  act: () => void,
  bytes: number,
): Promise<void> {
  const before = { ms: performance.now(), cpuMs: cpuMs() };
  const all = acks.all();
  const written = recorded?.all();
  act();
  await all;
  const ms = performance.now() - before.ms;
  await written;
  tell({ kind: 'changed', ms, cpuMs: cpuMs() - before.cpuMs, bytes });
}

function listen(
  server: Server,
  change: () => Promise<void>,
  settled: () => Promise<void> = () => Promise.resolve(),
): void {
  process.on('message', (raw) => {
    const message = ToServer.parse(raw);
    if (message.kind === 'measure')
      void measure(settled).then((measured) => tell({ kind: 'measured', measure: measured }));
    else void change();
  });
  server.listen({ port: given.port, host: '127.0.0.1', backlog: 4096 }, () => {
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('no port');
    tell({ kind: 'listening', port: address.port });
  });
}

function frameOf(generation: number): string {
  const json = JSON.stringify(sampleTenant(tenantOf(agents - 1), generation));
  const [text = ''] = desiredMessages(1, generation === 1 ? null : generation - 1, {
    revision: generation,
    digest: 'a'.repeat(64),
    entries: [{ kind: 'tenant', tenant: tenantOf(agents - 1), json }],
  }).messages;
  return text;
}

function floor(): void {
  const server = createServer();
  const sockets = new WebSocketServer({
    server,
    path: '/api/v1/agent/connect',
    perMessageDeflate: false,
    maxPayload: MAX_FRAME_BYTES,
    handleProtocols: () => SUBPROTOCOL,
  });
  const challenge = `{"type":"challenge","protocol":1,"nonce":"${'n'.repeat(32)}"}`;
  const welcome = JSON.stringify({
    type: 'welcome',
    protocol: 1,
    epoch: 1,
    mode: 'apply',
    heartbeatMs: 200_000,
    timeoutMs: 410_000,
    reconnect: { baseMs: 1000, capMs: 30_000 },
  });
  const acks = counter();
  let generation = 1;
  const first = frameOf(1);
  const welcomed = new WeakSet<object>();
  const ack = '{"type":"report.ack","seq":1}';
  sockets.on('connection', (socket) => {
    socket.on('message', (data: Buffer) => {
      if (!welcomed.has(socket)) {
        welcomed.add(socket);
        socket.send(welcome);
        if (fresh === 'fresh') socket.send(first);
      } else if (data.toString().startsWith('{"type":"report"')) socket.send(ack);
      else acks.count(1);
    });
    socket.send(challenge);
  });
  listen(server, async () => {
    generation += 1;
    const text = frameOf(generation);
    await timed(
      acks,
      null,
      () => {
        for (const socket of sockets.clients) socket.send(text);
      },
      text.length,
    );
  });
}

const database = (): { kind: 'sqlite'; path: string } => ({
  kind: 'sqlite',
  path: join(given.directory, 'coordinator.db'),
});

/** Reports are kept of tenants that are on record only. */
function tenantRecord(tenant: string, host: string): TenantRecord {
  return {
    tenant,
    app: 'shop',
    release: 1,
    generation: 1,
    state: 'running',
    host,
    pool: 'default',
    domains: [`${tenant}.example.com`],
    routes: [],
    reservedMemory: 0,
    reservedCpus: 0,
    surgeMemory: 0,
    tags: [],
    pinned: null,
    window: null,
    tenancy: 'shared',
    egress: null,
    createdAt: 1,
    updatedAt: 1,
  };
}

async function seed(): Promise<void> {
  const keys = z
    .array(z.string())
    .parse(JSON.parse(readFileSync(join(given.directory, 'keys.json'), 'utf8')));
  const store = await openStore(database());
  await store.mutate(by, 1, async (tx) => {
    await tx.insertApp('shop', 1);
    for (const [index, publicKey] of keys.entries()) {
      const host = hostId(index);
      await tx.insertHost({ host, name: `host-${index}`, publicKey, pool: 'default', createdAt: 1 });
      await tx.putDesired(host, { kind: 'tenant', entry: sampleTenant(tenantOf(index), 1) });
      for (const tenant of tenantsOf(index, agents)) await tx.insertTenant(tenantRecord(tenant, host));
    }
    return {
      result: null,
      audit: { action: 'bench.seed', subject: 'bench', before: null, after: { hosts: keys.length } },
    };
  });
  await store.close();
  tell({ kind: 'seeded' });
}

async function fleet(): Promise<void> {
  const store = await openStore(database());
  const acks = counter();
  const recorded = counter();
  let joined = 0;
  let noted = 0;
  const counting: FleetStore = {
    ...store.fleet,
    async recordAcks(records) {
      await store.fleet.recordAcks(records);
      recorded.count(records.length);
    },
    async noteConnections(notes) {
      await store.fleet.noteConnections(notes);
      noted += notes.length;
    },
  };
  const server = createServer((_request, response) => response.writeHead(404).end());
  const all = await createFleet({ store: counting, clock, random: Math.random, log: quiet });
  const counted: Fleet = {
    ...all,
    async admit(connection, hello, verify) {
      const session = await all.admit(connection, hello, verify);
      if (session !== null) joined += 1;
      return session;
    },
    receive(session, message, bytes) {
      if (message.type === 'desired.ack') acks.count(1);
      return all.receive(session, message, bytes);
    },
  };
  attachGateway({ server, fleet: counted, clock, log: quiet, signal: new AbortController().signal });
  let generation = (await store.fleet.desiredAll(hostId(0))).revision;
  const settled = async (): Promise<void> => {
    while (noted < joined) await new Promise((resolve) => setTimeout(resolve, 20));
  };
  const change = async (): Promise<void> => {
    generation += 1;
    await store.mutate(by, clock.now(), async (tx) => {
      for (let index = 0; index < agents; index += 1)
        await tx.putDesired(hostId(index), {
          kind: 'tenant',
          entry: sampleTenant(tenantOf(index), generation),
        });
      return {
        result: null,
        audit: { action: 'bench.change', subject: 'bench', before: null, after: { generation } },
      };
    });
    globalThis.gc?.();
    await timed(
      acks,
      recorded,
      () => {
        for (let index = 0; index < agents; index += 1) all.changed(hostId(index));
      },
      frameOf(generation).length,
    );
  };
  listen(server, change, settled);
}

if (given.role === 'floor') floor();
else if (given.role === 'seed') await seed();
else await fleet();
