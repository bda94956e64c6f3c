import { afterEach, expect, test } from 'vitest';
import { SimulatedAgent, hostId } from '../fakes/simulated-agent.ts';
import {
  desiredTenant,
  eventually,
  scratch,
  startAgent,
  startCoordinator,
  tenantReport,
} from '../fakes/link-world.ts';

const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function world(tenants: number) {
  const coordinator = await startCoordinator();
  cleanups.push(coordinator.stop);
  const directory = await scratch();
  cleanups.push(directory.remove);
  const host = hostId(1);
  coordinator.store.enrol(host, 'not known yet');
  coordinator.store.put(
    host,
    Array.from({ length: tenants }, (_, index) => desiredTenant(`t${index}`)),
  );
  const kept = coordinator.store.hosts.get(host);
  const start = async (options: Partial<Parameters<typeof startAgent>[1]> = {}) => {
    const agent = await startAgent(coordinator, { host, directory: directory.path, ...options });
    if (kept !== undefined) kept.publicKey = agent.state.identity.publicKey;
    cleanups.push(agent.stop);
    return agent;
  };
  return { coordinator, host, start };
}

test('a new agent gets all of its state, keeps it on disk and acknowledges it', async () => {
  const { coordinator, host, start } = await world(500);
  const agent = await start();
  await eventually('the acknowledgement', () => coordinator.store.acks.length > 0);
  expect(coordinator.store.acks[0]).toMatchObject({ host, epoch: 1, revision: 1 });
  expect(Object.keys(agent.state.desired.current().tenants)).toHaveLength(500);
  expect(agent.state.desired.digest()).toBe(coordinator.store.hosts.get(host)?.digest);
  expect(coordinator.fleet.online(host)).toBe(true);
  await eventually('the note', () => coordinator.store.notes.some((note) => note.kind === 'online'));
});

test('an unchanged agent that comes back costs one read and no resend', async () => {
  const { coordinator, start } = await world(50);
  const first = await start();
  await eventually('the acknowledgement', () => coordinator.store.acks.length > 0);
  await first.stop();
  const before = { ...coordinator.store.calls };
  const again = await start();
  await eventually('the second session', () => again.told.includes('online'));
  again.outbox.tenant(tenantReport('t0'));
  await eventually('the report', () => coordinator.store.reports.size === 1);
  expect(again.told.filter((line) => line.startsWith('desired'))).toEqual([]);
  expect(coordinator.store.calls['hostsForHello']).toBe((before['hostsForHello'] ?? 0) + 1);
  expect(coordinator.store.calls['desiredAll']).toBe(before['desiredAll']);
  expect(coordinator.store.calls['desiredSince']).toBe(before['desiredSince']);
});

test('a one-tenant change on a host with 500 tenants is at most 3 KB on the wire', async () => {
  const { coordinator, host } = await world(500);
  let desiredBytes: number[] = [];
  const agent = new SimulatedAgent({
    url: coordinator.url,
    host,
    onMessage: (message, bytes) => {
      if (message.type === 'desired') desiredBytes.push(bytes);
    },
  });
  const kept = coordinator.store.hosts.get(host);
  if (kept !== undefined) kept.publicKey = agent.publicKey;
  await agent.online();
  cleanups.push(() => Promise.resolve(agent.cut()));
  await eventually('the whole state', () => agent.position.revision === 1);
  expect(Math.max(...desiredBytes)).toBeLessThanOrEqual(257 * 1024);
  desiredBytes = [];
  coordinator.store.put(host, [desiredTenant('t7', 2, { GREETING: 'hi' })]);
  coordinator.fleet.changed(host);
  await eventually('the change', () => agent.position.revision === 2);
  expect(desiredBytes).toHaveLength(1);
  expect(desiredBytes[0]).toBeLessThanOrEqual(3 * 1024);
});

test('changes that come together are one read and one message', async () => {
  const { coordinator, host, start } = await world(3);
  const agent = await start();
  await eventually('the acknowledgement', () => coordinator.store.acks.length > 0);
  const before = coordinator.store.calls['desiredSince'] ?? 0;
  for (let change = 2; change <= 6; change += 1) {
    coordinator.store.put(host, [desiredTenant('t1', change)]);
    coordinator.fleet.changed(host);
  }
  await eventually('the last change', () => agent.state.desired.current().revision === 6);
  expect(agent.state.desired.current().tenants['t1']?.generation).toBe(6);
  expect((coordinator.store.calls['desiredSince'] ?? 0) - before).toBe(1);
});

test('a removal is proposed, listed, confirmed and forgotten', async () => {
  const { coordinator, host, start } = await world(3);
  const agent = await start();
  await eventually('the acknowledgement', () => coordinator.store.acks.length > 0);
  coordinator.store.bury(host, { tenant: 't1', generation: 1, state: 'proposed' });
  coordinator.fleet.changed(host);
  await eventually('the proposal', () => 't1' in agent.state.desired.current().tombstones);
  expect(agent.state.desired.current().tombstones['t1']?.state).toBe('proposed');
  agent.outbox.removal({ tenant: 't1', generation: 1, containers: ['shop-t1-web-1'] });
  await eventually(
    'the confirmation',
    () => agent.state.desired.current().tombstones['t1']?.state === 'confirmed',
  );
  expect(coordinator.store.confirmations).toEqual([{ host, tenant: 't1', containers: ['shop-t1-web-1'] }]);
  agent.outbox.tenant(tenantReport('t1', { phase: 'removed', live: null }));
  await eventually('the end', () => !('t1' in agent.state.desired.current().tombstones));
  expect(coordinator.store.removed).toEqual(['t1']);
  expect(agent.state.desired.digest()).toBe(coordinator.store.hosts.get(host)?.digest);
});

test('a question is answered, one without an answer is unknown, and an offline host says so', async () => {
  const { coordinator, host, start } = await world(1);
  let answers = 0;
  const agent = await start({
    answer: (question, signal) => {
      answers += 1;
      if (question.kind === 'logs')
        return new Promise((_, reject) => signal.addEventListener('abort', reject));
      return Promise.resolve({ kind: 'plan', steps: [] });
    },
  });
  await eventually('the agent', () => coordinator.fleet.online(host));
  const plan = { kind: 'plan', tenant: desiredTenant('t0', 2) } as const;
  expect(await coordinator.fleet.ask(host, plan, 2000)).toEqual({ kind: 'plan', steps: [] });
  const logs = { kind: 'logs', tenant: 't0', service: null, lines: 10 } as const;
  await expect(coordinator.fleet.ask(host, logs, 50)).rejects.toMatchObject({ code: 'timeout' });
  const outcome = coordinator.fleet.ask(host, logs, 5000).catch((thrown: unknown) => thrown);
  await eventually('the second question', () => answers === 3);
  await agent.stop();
  expect(await outcome).toMatchObject({ code: 'host_offline' });
  await eventually('the agent to be gone', () => !coordinator.fleet.online(host));
  await expect(coordinator.fleet.ask(host, plan, 50)).rejects.toMatchObject({ code: 'host_offline' });
});
