import { afterEach, expect, test } from 'vitest';
import { CLOSE } from '@berth/shared/protocol/messages';
import { hostId, SimulatedAgent } from '../fakes/simulated-agent.ts';
import {
  desiredTenant,
  eventually,
  scratch,
  startAgent,
  startCoordinator,
  tenantReport,
  type CoordinatorUnderTest,
} from '../fakes/link-world.ts';

const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function coordinatorOf(): Promise<CoordinatorUnderTest> {
  const coordinator = await startCoordinator();
  cleanups.push(coordinator.stop);
  return coordinator;
}

/** Some hosts with a tenant each, connected and as desired. */
async function fleetOf(coordinator: CoordinatorUnderTest, count: number): Promise<SimulatedAgent[]> {
  const agents = Array.from({ length: count }, (_, index) => {
    const agent = new SimulatedAgent({ url: coordinator.url, host: hostId(index) });
    coordinator.store.enrol(agent.host, agent.publicKey);
    coordinator.store.put(agent.host, [desiredTenant(`t${index}`)]);
    cleanups.push(() => Promise.resolve(agent.cut()));
    return agent;
  });
  for (const agent of agents) await agent.online();
  await eventually('their states', () => agents.every((agent) => agent.position.revision === 1));
  return agents;
}

function agentAt(agents: readonly SimulatedAgent[], index: number): SimulatedAgent {
  const agent = agents[index];
  if (agent === undefined) throw new Error(`no agent ${index}`);
  return agent;
}

/** Comes back and says that it has this. */
async function claim(agent: SimulatedAgent, position: { epoch: number; revision: number }): Promise<void> {
  agent.cut();
  agent.position = { ...agent.position, ...position };
  await agent.online();
}

function change(
  coordinator: CoordinatorUnderTest,
  agents: readonly SimulatedAgent[],
  generation: number,
): void {
  for (const agent of agents) {
    coordinator.store.put(agent.host, [desiredTenant(`x${agent.host.slice(-1)}`, generation)]);
    coordinator.fleet.changed(agent.host);
  }
}

test.each([
  ['a later revision', { epoch: 1, revision: 900 }],
  ['a later epoch', { epoch: 77, revision: 1 }],
  ['the last epoch that there is', { epoch: Number.MAX_SAFE_INTEGER, revision: 1 }],
])('one host of several that claims %s is held alone', async (_name, position) => {
  const coordinator = await coordinatorOf();
  const agents = await fleetOf(coordinator, 3);
  const liar = agentAt(agents, 0);
  await claim(liar, position);
  expect(liar.mode).toBe('observe');
  expect(coordinator.fleet.stats()).toMatchObject({ mode: 'apply', epoch: 1 });
  await eventually('the event', () => coordinator.store.notes.some((note) => note.kind === 'ahead'));
  expect(coordinator.store.notes.filter((note) => note.kind === 'ahead')).toMatchObject([
    { host: liar.host, ...position },
  ]);

  const received = liar.bytesReceived;
  change(coordinator, agents, 2);
  await eventually('the others', () => agents.slice(1).every((agent) => agent.position.revision === 2));
  expect(liar.position).toMatchObject(position);
  expect(liar.bytesReceived).toBe(received);
  expect(agents.slice(1).map((agent) => agent.mode)).toEqual(['apply', 'apply']);

  // Nothing of it is removed either.
  coordinator.store.bury(liar.host, { tenant: 't0', generation: 1, state: 'proposed' });
  const seq = liar.report({ removals: [{ tenant: 't0', generation: 1, containers: [] }] });
  expect(seq).toBe(1);
  await eventually('the report', () => liar.bytesReceived > received);
  expect(coordinator.store.confirmations).toEqual([]);
});

test('a second host that is ahead means a restore: all are held', async () => {
  const coordinator = await coordinatorOf();
  const agents = await fleetOf(coordinator, 4);
  await claim(agentAt(agents, 0), { epoch: 1, revision: 5 });
  await claim(agentAt(agents, 2), { epoch: 3, revision: 2 });
  await eventually('all of them', () => agents.every((agent) => agent.mode === 'observe'));
  expect(coordinator.fleet.stats()).toMatchObject({ mode: 'observe', epoch: 4 });
  expect(coordinator.store.record.reason).toMatch(
    /revision 5 of epoch 1, later than 1, and .* knows epoch 3, later than 1/,
  );
});

test('one host that comes again and again is still one', async () => {
  const coordinator = await coordinatorOf();
  const agents = await fleetOf(coordinator, 2);
  for (let revision = 5; revision < 10; revision += 1)
    await claim(agentAt(agents, 0), { epoch: 1, revision });
  expect(coordinator.fleet.stats().mode).toBe('apply');
  await eventually('the event', () => coordinator.store.notes.some((note) => note.kind === 'ahead'));
  expect(coordinator.store.notes.filter((note) => note.kind === 'ahead')).toHaveLength(1);
});

test('a held host that comes back level is held no longer, and counts no longer', async () => {
  const coordinator = await coordinatorOf();
  const agents = await fleetOf(coordinator, 3);
  const first = agentAt(agents, 0);
  const { digest } = first.position;
  await claim(first, { epoch: 1, revision: 5 });
  first.cut();
  first.position = { epoch: 1, revision: 1, digest };
  await first.online();
  expect(first.mode).toBe('apply');
  await claim(agentAt(agents, 1), { epoch: 1, revision: 5 });
  expect(coordinator.fleet.stats().mode).toBe('apply');
  change(coordinator, [first], 2);
  await eventually('the change', () => first.position.revision === 2);
});

test('a confirmation releases a single held host in an epoch above its own', async () => {
  const coordinator = await coordinatorOf();
  const agents = await fleetOf(coordinator, 3);
  const held = agentAt(agents, 1);
  await claim(held, { epoch: 6, revision: 40 });
  expect(held.mode).toBe('observe');
  await coordinator.fleet.gatherHeld();
  expect(coordinator.fleet.stats()).toMatchObject({ mode: 'observe', epoch: 7 });
  coordinator.store.record = { ...coordinator.store.record, mode: 'apply', reason: null };
  coordinator.fleet.modeChanged();
  await eventually('the new epoch', () => agents.every((agent) => agent.position.epoch === 7));
  await eventually('the mode', () => agents.every((agent) => agent.mode === 'apply'));
  expect(held.position.revision).toBe(1);
  // With nobody held there is nothing to gather.
  await coordinator.fleet.gatherHeld();
  expect(coordinator.fleet.stats()).toMatchObject({ mode: 'apply', epoch: 7 });
});

test('a real agent with a later epoch obeys when it is held, and goes on when it is released', async () => {
  const coordinator = await coordinatorOf();
  await fleetOf(coordinator, 2);
  const directory = await scratch();
  cleanups.push(directory.remove);
  const host = hostId(9);
  coordinator.store.record = { epoch: 4, mode: 'apply', reason: null };
  coordinator.fleet.modeChanged();
  const agent = await startAgent(coordinator, { host, directory: directory.path });
  cleanups.push(agent.stop);
  coordinator.store.put(host, [desiredTenant('acme')]);
  coordinator.fleet.changed(host);
  await eventually('epoch 4', () => agent.state.desired.current().epoch === 4);
  await agent.stop();

  const other = await coordinatorOf();
  await fleetOf(other, 2);
  other.store.enrol(host, agent.state.identity.publicKey);
  const again = await startAgent(other, { host, directory: directory.path });
  cleanups.push(again.stop);
  await eventually('the mode', () => again.state.desired.mode() === 'observe');
  expect(other.fleet.stats()).toMatchObject({ mode: 'apply', epoch: 1 });
  again.outbox.tenant(tenantReport('acme'));
  await eventually('its report', () => other.store.reports.size === 1);
  expect(again.state.desired.current().tenants['acme']?.generation).toBe(1);
});

test('a host that is removed loses its session at once and is not let in again', async () => {
  const coordinator = await coordinatorOf();
  const codes: number[] = [];
  const agent = new SimulatedAgent({
    url: coordinator.url,
    host: hostId(1),
    onClose: (code) => codes.push(code),
  });
  coordinator.store.enrol(agent.host, agent.publicKey);
  cleanups.push(() => Promise.resolve(agent.cut()));
  await agent.online();
  coordinator.store.hosts.delete(agent.host);
  coordinator.fleet.removed(agent.host);
  expect(coordinator.fleet.online(agent.host)).toBe(false);
  await eventually('the end', () => codes.length === 1);
  expect(codes).toEqual([CLOSE.unauthenticated]);
  await expect(agent.online()).rejects.toThrow(String(CLOSE.unauthenticated));
});

test('a host that is removed while its hello is being looked up is not let in', async () => {
  const coordinator = await coordinatorOf();
  const agent = new SimulatedAgent({ url: coordinator.url, host: hostId(1) });
  coordinator.store.enrol(agent.host, agent.publicKey);
  cleanups.push(() => Promise.resolve(agent.cut()));
  const found = coordinator.store.hostsForHello.bind(coordinator.store);
  coordinator.store.hostsForHello = async (hosts) => {
    const records = await found(hosts);
    coordinator.fleet.removed(agent.host);
    return records;
  };
  await expect(agent.online()).rejects.toThrow(String(CLOSE.unauthenticated));
  expect(coordinator.fleet.stats().agents).toBe(0);
});
