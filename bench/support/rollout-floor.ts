import { createServer } from 'node:http';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import Database from 'better-sqlite3';
import { WebSocketServer, type WebSocket } from 'ws';
import { z } from 'zod';
import { desiredMessages } from '@berth/coordinator/services/fleet-wire';
import { MAX_FRAME_BYTES, SUBPROTOCOL } from '@berth/shared/protocol/messages';
import { FleetShape, ToFloor, type FromFloor } from './rollout-messages.ts';
import { entriesOf, placesOf, type Place } from './rollout-entries.ts';

/**
 * The floor of the rollout bench in a process of its own: a bare `ws` server that tells the same agents the same changes,
 * keeps as many tenants on their way, reads their reports with `JSON.parse` alone and writes what changed and what was
 * told, one row each with a prepared statement, in one transaction per 10 ms. It checks nothing and decides nothing.
 */
const [tenantCount, agentCount, directory = ''] = process.argv.slice(2);
const shape = FleetShape.parse({ tenants: tenantCount, agents: agentCount });
const TICK_MS = 10;
/** As the coordinator's own metrics measure it. */
const LOOK_MS = 10;
const delay = monitorEventLoopDelay({ resolution: LOOK_MS });
delay.enable();

const file = new Database(join(directory, 'floor.db'));
file.pragma('journal_mode = WAL');
file.pragma('synchronous = FULL');
file.exec(`
  create table desired (host text, tenant text, json text, revision integer, primary key (host, tenant)) without rowid;
  create table observed (tenant text primary key, host text, phase text, json text) without rowid;
  create table events (id integer primary key, tenant text, kind text, json text);
`);
const putDesired = file.prepare(
  'insert into desired values (?, ?, ?, ?) on conflict (host, tenant) do update set json = excluded.json, revision = excluded.revision',
);
const putObserved = file.prepare(
  'insert into observed values (?, ?, ?, ?) on conflict (tenant) do update set phase = excluded.phase, json = excluded.json',
);
const putEvent = file.prepare('insert into events (tenant, kind, json) values (?, ?, ?)');

const Told = z.custom<{
  type: string;
  seq: number;
  host: string;
  tenants: { tenant: string; phase: string; generation: number; live: number }[];
  events: { tenant: string; kind: string }[];
}>();

const tell = (message: z.infer<typeof FromFloor>): void => {
  process.send?.(message);
};

const sockets = new Map<string, WebSocket>();
const revisions = new Map<string, number>();
const places = placesOf(shape);
const entryOf = entriesOf();
// Made beforehand: to render them is the coordinator's work, and no part of the floor.
const changes = places.map((place) => ({ ...place, json: JSON.stringify(entryOf(place, 2)) }));
const onHost = new Map<string, Place[]>();
for (const place of places) onHost.set(place.host, [...(onHost.get(place.host) ?? []), place]);

let writes: (() => void)[] = [];
let owed = new Map<WebSocket, number>();
let timer: NodeJS.Timeout | null = null;

function soon(write: () => void): void {
  writes.push(write);
  timer ??= setTimeout(flush, TICK_MS);
}

function flush(): void {
  timer = null;
  const mine = writes;
  const acks = owed;
  writes = [];
  owed = new Map();
  file.transaction(() => {
    for (const write of mine) write();
  })();
  for (const [socket, seq] of acks) socket.send(`{"type":"report.ack","seq":${seq}}`);
}

let queue: number[] = [];
let underWay = new Set<string>();
const GENERATION = 2;
let left = 0;

function ended(): void {
  tell({ kind: 'moved', eventLoopP99Ms: Math.max(0, delay.percentile(99) / 1e6 - LOOK_MS) });
}

function begin(): void {
  const change = changes[queue.shift() ?? -1];
  if (change === undefined) return;
  const { tenant, host, json } = change;
  underWay.add(tenant);
  const base = revisions.get(host) ?? 1;
  revisions.set(host, base + 1);
  soon(() => {
    putDesired.run(host, tenant, json, base + 1);
    const [text = ''] = desiredMessages(1, base, {
      revision: base + 1,
      digest: 'a'.repeat(64),
      entries: [{ kind: 'tenant', tenant, json }],
    }).messages;
    sockets.get(host)?.send(text);
  });
}

function received(socket: WebSocket, host: string, text: string): void {
  const message = Told.parse(JSON.parse(text));
  if (message.type !== 'report') return;
  owed.set(socket, message.seq);
  soon(() => {
    for (const report of message.tenants) {
      putObserved.run(report.tenant, host, report.phase, JSON.stringify(report));
      if (report.live === GENERATION && underWay.delete(report.tenant)) begin();
      if (report.live === GENERATION && report.phase === 'settled' && (left -= 1) === 0) setImmediate(ended);
    }
    for (const event of message.events) putEvent.run(event.tenant, event.kind, JSON.stringify(event));
  });
}

const server = createServer();
const welcome = JSON.stringify({
  type: 'welcome',
  protocol: 1,
  epoch: 1,
  mode: 'apply',
  heartbeatMs: 200_000,
  timeoutMs: 410_000,
  reconnect: { baseMs: 1000, capMs: 30_000 },
});
new WebSocketServer({
  server,
  path: '/api/v1/agent/connect',
  perMessageDeflate: false,
  maxPayload: MAX_FRAME_BYTES,
  handleProtocols: () => SUBPROTOCOL,
}).on('connection', (socket) => {
  let host = '';
  socket.on('message', (data: Buffer) => {
    const text = data.toString();
    if (host !== '') {
      received(socket, host, text);
      return;
    }
    host = Told.parse(JSON.parse(text)).host;
    sockets.set(host, socket);
    socket.send(welcome);
    const [first = ''] = desiredMessages(1, null, {
      revision: 1,
      digest: 'a'.repeat(64),
      entries: (onHost.get(host) ?? []).map((place) => ({
        kind: 'tenant',
        tenant: place.tenant,
        json: JSON.stringify(entryOf(place, 1)),
      })),
    }).messages;
    socket.send(first);
  });
  socket.send(`{"type":"challenge","protocol":1,"nonce":"${'n'.repeat(32)}"}`);
});

process.on('message', (raw) => {
  const message = ToFloor.parse(raw);
  delay.reset();
  left = message.tenants;
  queue = Array.from({ length: message.tenants }, (_, index) => message.from + index);
  underWay = new Set();
  for (let begun = 0; begun < message.atOnce; begun += 1) begin();
});
server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }, () => {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  tell({ kind: 'listening', port: address.port });
});
