import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { WebSocket } from 'ws';
import { afterEach, expect, test } from 'vitest';
import { stateDigest } from '@berth/shared/domain/desired';
import { CLOSE, SUBPROTOCOL } from '@berth/shared/protocol/messages';
import { MemoryFleetStore } from '../fakes/fleet-store.ts';
import { SimulatedAgent, hostId } from '../fakes/simulated-agent.ts';
import {
  desiredTenant,
  eventually,
  scratch,
  startAgent,
  startCoordinator,
  tenantReport,
  type AgentUnderTest,
  type CoordinatorUnderTest,
} from '../fakes/link-world.ts';

const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const host = hostId(7);

async function coordinatorOf(
  options: Parameters<typeof startCoordinator>[0] = {},
): Promise<CoordinatorUnderTest> {
  const coordinator = await startCoordinator(options);
  let stopped = false;
  const stop = coordinator.stop;
  coordinator.stop = async () => {
    if (!stopped) await stop();
    stopped = true;
  };
  cleanups.push(() => coordinator.stop());
  return coordinator;
}

async function agentOf(
  coordinator: CoordinatorUnderTest,
  directory?: string,
): Promise<AgentUnderTest & { directory: string }> {
  let path = directory;
  if (path === undefined) {
    const made = await scratch();
    cleanups.push(made.remove);
    path = made.path;
  }
  const agent = await startAgent(coordinator, { host, directory: path });
  cleanups.push(agent.stop);
  return { ...agent, directory: path };
}

function simulated(
  coordinator: CoordinatorUnderTest,
  options: Partial<ConstructorParameters<typeof SimulatedAgent>[0]> = {},
) {
  const agent = new SimulatedAgent({ url: coordinator.url, host, ...options });
  cleanups.push(() => Promise.resolve(agent.cut()));
  return agent;
}

async function rawSocket(
  coordinator: CoordinatorUnderTest,
): Promise<{ socket: WebSocket; closed: Promise<number> }> {
  const socket = new WebSocket(`${coordinator.url.replace('http', 'ws')}/api/v1/agent/connect`, SUBPROTOCOL, {
    perMessageDeflate: false,
  });
  cleanups.push(() => Promise.resolve(socket.terminate()));
  socket.on('error', () => undefined);
  const closed = once(socket, 'close').then(([code]) => Number(code));
  await once(socket, 'message');
  return { socket, closed };
}

test('stale revisions and older epochs that are replayed change nothing', async () => {
  const coordinator = await coordinatorOf();
  const agent = await agentOf(coordinator);
  coordinator.store.put(host, [desiredTenant('acme', 3)]);
  coordinator.fleet.changed(host);
  await eventually('the state', () => agent.state.desired.current().revision === 1);
  await coordinator.stop();

  // Somebody in the coordinator's place replays what was once true.
  for (const replay of [
    { epoch: 1, revision: 0 },
    { epoch: 0, revision: 99 },
  ]) {
    const impostor = await coordinatorOf({ port: coordinator.port });
    impostor.store.enrol(host, agent.state.identity.publicKey);
    impostor.store.record = { epoch: replay.epoch, mode: 'apply', reason: null };
    const seen = impostor.log.lines;
    await eventually('the agent', () => impostor.fleet.online(host));
    await eventually('observe-only', () => seen.some((line) => line.startsWith('Observe-only')));
    expect(agent.state.desired.current()).toMatchObject({ epoch: 1, revision: 1 });
    expect(agent.state.desired.current().tenants['acme']?.generation).toBe(3);
    await impostor.stop();
  }
});

test('of two agents with one identity the newer session wins, and the loser is quiet', async () => {
  const coordinator = await coordinatorOf();
  const first = await agentOf(coordinator);
  await eventually('the first agent', () => coordinator.fleet.online(host));
  const copy = await scratch();
  cleanups.push(copy.remove);
  await writeFile(join(copy.path, 'identity.json'), await readFile(join(first.directory, 'identity.json')));
  await agentOf(coordinator, copy.path);
  await eventually('the event', () => coordinator.store.notes.some((note) => note.kind === 'superseded'));
  await eventually('the loser to say why', () =>
    first.log.lines.some((line) => line.includes('Another agent connected with the identity')),
  );
  expect(coordinator.fleet.stats().agents).toBe(1);
  expect(coordinator.store.calls['hostsForHello']).toBe(2);
});

test('a coordinator restored from an older backup only observes until it is confirmed', async () => {
  const coordinator = await coordinatorOf();
  const agent = await agentOf(coordinator);
  coordinator.store.put(host, [desiredTenant('acme', 1)]);
  const backup = coordinator.store.copy();
  coordinator.store.put(host, [desiredTenant('acme', 2), desiredTenant('globex')]);
  coordinator.fleet.changed(host);
  await eventually('both tenants', () => agent.state.desired.current().revision === 2);
  await coordinator.stop();

  const store = new MemoryFleetStore();
  store.restore(backup);
  const restored = await coordinatorOf({ store, port: coordinator.port });
  await eventually('the mode', () => agent.told.includes('mode observe'));
  expect(restored.fleet.stats()).toMatchObject({ mode: 'observe', epoch: 2 });
  expect(store.record.reason).toMatch(/revision 2 of epoch 1, later than 1/);
  expect(agent.state.desired.mode()).toBe('observe');
  expect(agent.state.desired.current()).toMatchObject({ epoch: 1, revision: 2 });
  // Changes wait, and so do removals.
  store.put(host, [desiredTenant('initech')]);
  restored.fleet.changed(host);
  agent.outbox.tenant(tenantReport('acme'));
  await eventually('a report while observing', () => store.reports.size === 1);
  expect(agent.state.desired.current().revision).toBe(2);

  store.record = { ...store.record, mode: 'apply', reason: null };
  restored.fleet.modeChanged();
  await eventually('the new epoch', () => agent.state.desired.current().epoch === 2);
  await eventually('the mode', () => agent.state.desired.mode() === 'apply');
  expect(Object.keys(agent.state.desired.current().tenants).sort()).toEqual(['acme', 'initech']);
  expect(agent.state.desired.current().tombstones).toEqual({});
  expect(agent.told.at(-2)).toContain('orphans globex');
});

test('with the coordinator away the last accepted state stays in force, across a restart of the agent', async () => {
  const coordinator = await coordinatorOf();
  const agent = await agentOf(coordinator);
  coordinator.store.put(host, [desiredTenant('acme')]);
  coordinator.fleet.changed(host);
  await eventually('the state', () => agent.state.desired.current().revision === 1);
  await coordinator.stop();
  await agent.stop();
  const again = await agentOf(coordinator, agent.directory);
  expect(again.state.desired.mode()).toBe('apply');
  expect(Object.keys(again.state.desired.current().tenants)).toEqual(['acme']);
  again.outbox.tenant(tenantReport('acme'));
  const back = await coordinatorOf({ store: coordinator.store, port: coordinator.port });
  await eventually('the report made offline', () => back.store.reports.size === 1);
});

test('an agent that lost a file asks for all of its state and loses no tenant', async () => {
  const coordinator = await coordinatorOf();
  const agent = await agentOf(coordinator);
  coordinator.store.put(host, [desiredTenant('acme'), desiredTenant('globex')]);
  coordinator.fleet.changed(host);
  await eventually('the state', () => agent.state.desired.current().revision === 1);
  await agent.stop();
  const entries = join(agent.directory, 'desired');
  const [victim = ''] = (await readdir(entries)).filter((name) => name.startsWith('acme.'));
  await writeFile(join(entries, victim), '{"kind":"ten');
  const again = await agentOf(coordinator, agent.directory);
  expect(again.state.quarantined).toEqual([join(entries, victim)]);
  await eventually('the repair', () => 'acme' in again.state.desired.current().tenants);
  expect(stateDigest(again.state.desired.current())).toBe(coordinator.store.hosts.get(host)?.digest);
  expect(again.told.find((line) => line.startsWith('desired'))).toBe('desired 1/1 changed acme orphans ');
  expect(coordinator.fleet.stats().mode).toBe('apply');
});

test('a store that fails for a while loses no report and closes no session', async () => {
  const coordinator = await coordinatorOf();
  const agent = await agentOf(coordinator);
  await eventually('the agent', () => agent.told.includes('online'));
  coordinator.store.failure = new Error('the database is away');
  for (let index = 0; index < 50; index += 1) {
    agent.outbox.tenant(tenantReport(`t${index}`));
    agent.outbox.event({
      id: `e${index}`,
      at: 1,
      tenant: null,
      generation: null,
      kind: 'host.orphan',
      message: 'x',
      details: {},
    });
  }
  await eventually('the failed write', () =>
    coordinator.log.lines.some((line) => line.includes('the database is away')),
  );
  expect(agent.outbox.stats().unacknowledged).toBeGreaterThan(0);
  expect(coordinator.store.reports.size).toBe(0);
  coordinator.store.failure = null;
  await eventually('every report', () => coordinator.store.reports.size === 50);
  await eventually('every acknowledgement', () => {
    const { waiting, unacknowledged } = agent.outbox.stats();
    return waiting + unacknowledged === 0;
  });
  expect(coordinator.store.events.size).toBe(50);
  expect(agent.told).not.toContain('offline');
});

test('a coordinator that dies with reports unwritten is told them again', async () => {
  const coordinator = await coordinatorOf();
  const agent = await agentOf(coordinator);
  await eventually('the agent', () => agent.told.includes('online'));
  coordinator.store.failure = new Error('the disk is gone');
  agent.outbox.tenant(tenantReport('acme'));
  await eventually('the report under way', () => agent.outbox.stats().unacknowledged === 1);
  await coordinator.stop();
  coordinator.store.failure = null;
  const back = await coordinatorOf({ store: coordinator.store, port: coordinator.port });
  await eventually('the report', () => back.store.reports.has(`${host}/acme`));
});

test('an agent that vanishes without a goodbye is offline after its time-out', async () => {
  const coordinator = await coordinatorOf({ heartbeat: { minMs: 100, pingsPerSecond: 1000 } });
  const lively = await agentOf(coordinator);
  await eventually('the agent', () => coordinator.fleet.online(host));
  const silent = hostId(8);
  const agent = simulated(coordinator, { host: silent });
  coordinator.store.enrol(silent, agent.publicKey);
  await agent.online();
  // It never pings: to the coordinator it is like a machine whose cable was pulled.
  await eventually('the silence to be noticed', () => !coordinator.fleet.online(silent));
  await eventually('the note', () =>
    coordinator.store.notes.some((note) => note.kind === 'offline' && note.host === silent),
  );
  expect(coordinator.fleet.online(host)).toBe(true);
  expect(lively.told).not.toContain('offline');
});

test('an agent notices a coordinator that has gone silent and connects anew', async () => {
  const coordinator = await coordinatorOf({ heartbeat: { minMs: 100, pingsPerSecond: 1000 } });
  const path = await scratch();
  cleanups.push(path.remove);
  // Between them, something that swallows every byte once it is told to.
  const { createServer } = await import('node:net');
  const sockets: Socket[] = [];
  let swallow = false;
  const proxy = createServer((near) => {
    const far = connect(coordinator.port, '127.0.0.1');
    sockets.push(near, far);
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      from.on('data', (data) => {
        if (!swallow) to.write(data);
      });
      from.on('error', () => to.destroy());
    }
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  cleanups.push(async () => {
    for (const socket of sockets) socket.destroy();
    proxy.close();
    await once(proxy, 'close');
  });
  const address = proxy.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const agent = await startAgent(
    { url: `http://127.0.0.1:${address.port}`, store: coordinator.store },
    { host, directory: path.path },
  );
  cleanups.push(agent.stop);
  await eventually('the agent', () => agent.told.includes('online'));
  swallow = true;
  await eventually('the silence to be noticed', () => agent.told.includes('offline'));
  swallow = false;
  await eventually('the new session', () => agent.told.filter((line) => line === 'online').length === 2);
});

test.each([
  ['text that is not JSON', 'hello?'],
  ['JSON that is no message', '{"type":"hello","evil":true}'],
  [
    'a message before the hello',
    '{"type":"report","seq":1,"tenants":[],"removals":[],"events":[],"host":null}',
  ],
  ['nothing at all', ''],
  ['bytes', Buffer.from([0, 1, 2, 255])],
])('%s closes the connection with a sentence', async (_name, payload) => {
  const coordinator = await coordinatorOf();
  const { socket, closed } = await rawSocket(coordinator);
  socket.send(payload);
  expect(await closed).toBe(CLOSE.protocol);
  expect(coordinator.log.lines.some((line) => line.startsWith("Closed an agent's connection:"))).toBe(true);
});

test('a frame of 10 MB is refused before it is read', async () => {
  const coordinator = await coordinatorOf();
  const { socket, closed } = await rawSocket(coordinator);
  const before = process.memoryUsage().arrayBuffers;
  socket.send('x'.repeat(10 * 1024 * 1024));
  expect([1006, 1009]).toContain(await closed);
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(32 * 1024 * 1024);
  await eventually('the socket to be gone', () => coordinator.connections() === 0);
});

test('a frame that never ends is cut off at the hello deadline, and so is silence', async () => {
  const coordinator = await coordinatorOf({ helloTimeoutMs: 200 });
  const drip = connect(coordinator.port, '127.0.0.1');
  cleanups.push(() => Promise.resolve(void drip.destroy()));
  drip.on('error', () => undefined);
  drip.write(
    `GET /api/v1/agent/connect HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n` +
      `Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: ${SUBPROTOCOL}\r\n\r\n`,
  );
  await once(drip, 'data');
  // A masked text frame that announces 60,000 bytes and delivers a few at a time.
  drip.write(Buffer.from([0x81, 0xfe, 0xea, 0x60, 0, 0, 0, 0]));
  const dripping = setInterval(() => drip.write('x'), 10);
  cleanups.push(() => Promise.resolve(clearInterval(dripping)));
  const { closed } = await rawSocket(coordinator);
  expect(await closed).toBe(CLOSE.silent);
  await eventually(
    'both to be told',
    () => coordinator.log.lines.filter((line) => line.includes('No hello came')).length === 2,
  );
});

test('a message of endless fragments is cut off at the frame limit', async () => {
  const coordinator = await coordinatorOf();
  const { socket, closed } = await rawSocket(coordinator);
  const more = (): void => {
    if (socket.readyState === WebSocket.OPEN) socket.send('x'.repeat(64 * 1024), { fin: false }, more);
  };
  more();
  expect([1006, 1009]).toContain(await closed);
});

test('an unknown host, another key and another protocol are turned away', async () => {
  const coordinator = await coordinatorOf();
  const stranger = simulated(coordinator, { host: hostId(99) });
  await expect(stranger.online()).rejects.toThrow(String(CLOSE.unauthenticated));
  coordinator.store.enrol(host, simulated(coordinator).publicKey);
  await expect(simulated(coordinator).online()).rejects.toThrow(String(CLOSE.unauthenticated));
  expect(coordinator.fleet.stats().agents).toBe(0);
  const plain = new WebSocket(`${coordinator.url.replace('http', 'ws')}/api/v1/agent/connect`, 'other.v1');
  const [error] = await once(plain, 'error');
  expect(String(error)).toContain('400');
});

test('a second hello, and an unknown message later, cost that agent its session', async () => {
  const coordinator = await coordinatorOf();
  const closes: number[] = [];
  const agent = simulated(coordinator, { onClose: (code) => closes.push(code) });
  coordinator.store.enrol(host, agent.publicKey);
  await agent.online();
  agent.send({ type: 'format-disk' });
  await eventually('the end', () => closes.length === 1);
  expect(closes).toEqual([CLOSE.protocol]);
  await eventually('the host to be offline', () => !coordinator.fleet.online(host));
});

test('agents that are cut off and come back at once find their session again', async () => {
  const coordinator = await coordinatorOf();
  const agent = simulated(coordinator);
  coordinator.store.enrol(host, agent.publicKey);
  for (let round = 0; round < 10; round += 1) {
    await agent.online();
    agent.cut();
  }
  await agent.online();
  await eventually(
    'one session',
    () => coordinator.fleet.stats().agents === 1 && coordinator.connections() === 1,
  );
  coordinator.store.put(host, [desiredTenant('acme')]);
  coordinator.fleet.changed(host);
  await eventually('the change', () => agent.position.revision === 1);
});

test('a thousand agents are back after the coordinator was gone, without a resend', async () => {
  const first = await coordinatorOf();
  let welcomed = 0;
  const agents = Array.from({ length: 1000 }, (_, index) => {
    const agent = simulated(first, {
      host: hostId(index),
      localAddress: `127.0.0.${2 + (index % 4)}`,
      strict: false,
      onWelcome: () => (welcomed += 1),
    });
    first.store.enrol(agent.host, agent.publicKey);
    first.store.put(agent.host, [desiredTenant(`t${index}`)]);
    return agent;
  });
  for (const agent of agents) agent.connect();
  await eventually('all of them', () => welcomed === 1000, 30_000);
  await eventually('their states', () => agents.every((agent) => agent.position.revision === 1), 30_000);
  await first.stop();
  await eventually('all of them to be gone', () => agents.every((agent) => agent.socket === null), 10_000);
  const reads = first.store.calls['desiredAll'];
  welcomed = 0;
  const second = await coordinatorOf({ store: first.store, port: first.port });
  for (const agent of agents) agent.connect();
  await eventually('all of them again', () => welcomed === 1000, 30_000);
  expect(second.fleet.stats().agents).toBe(1000);
  expect(first.store.calls['desiredAll']).toBe(reads);
  // One change to all of them is a few reads and reaches every one.
  for (const agent of agents) {
    second.store.put(agent.host, [desiredTenant(agent.host.slice(2).replace(/^0+/, 'x'), 2)]);
    second.fleet.changed(agent.host);
  }
  const before = second.store.calls['desiredSince'] ?? 0;
  await eventually('the change', () => agents.every((agent) => agent.position.revision === 2), 30_000);
  expect((second.store.calls['desiredSince'] ?? 0) - before).toBeLessThanOrEqual(10);
});
