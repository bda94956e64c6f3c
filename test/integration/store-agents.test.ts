import { generateKeyPairSync } from 'node:crypto';
import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createClient, type ApiClient } from '@berth/shared/api/client';
import { stateDigest, type DesiredTenant, type Tombstone } from '@berth/shared/domain/desired';
import type { ToAgent } from '@berth/shared/protocol/messages';
import { SimulatedAgent } from '../fakes/simulated-agent.ts';
import { startCoordinator, type CoordinatorProcess } from './support/coordinator-process.ts';

const COMPOSE = `
services:
  web:
    image: registry.test/web:1
    environment: { GREETING: "\${GREETING:-hello}" }
    deploy: { resources: { limits: { cpus: "0.1", memory: 64M } } }
    x-berth: { route: { port: 80 } }
`;

let dir = '';
const coordinators: CoordinatorProcess[] = [];
const agents: AgentHost[] = [];
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'berth-agents-'));
});
afterEach(async () => {
  for (const each of agents.splice(0)) each.agent.close();
  for (const each of coordinators.splice(0)) await each.end('SIGKILL');
  rmSync(dir, { recursive: true, force: true });
});

async function start(): Promise<{ coordinator: CoordinatorProcess; client: ApiClient }> {
  const coordinator = await startCoordinator(dir);
  coordinators.push(coordinator);
  const token = readFileSync(join(dir, 'admin-token'), 'utf8').trim();
  return { coordinator, client: createClient({ url: coordinator.url, token }) };
}

/** An agent that keeps what it is told to, and nothing else. */
interface AgentHost {
  host: string;
  agent: SimulatedAgent;
  privateKey: string;
  tenants: Map<string, DesiredTenant>;
  tombstones: Map<string, Tombstone>;
}

async function enrolled(url: string, client: ApiClient): Promise<AgentHost> {
  const pair = generateKeyPairSync('ed25519');
  const publicKey = pair.publicKey.export({ type: 'spki', format: 'der' }).toString('base64');
  const privateKey = pair.privateKey.export({ type: 'pkcs8', format: 'der' }).toString('base64');
  const { token } = await client.createJoinToken({ body: {} });
  const { host } = await client.enrolHost({ body: { token, publicKey, name: 'one' } });
  return await connect({ url, host, privateKey, before: null });
}

async function connect(of: {
  url: string;
  host: string;
  privateKey: string;
  before: AgentHost | null;
}): Promise<AgentHost> {
  const tenants = of.before?.tenants ?? new Map<string, DesiredTenant>();
  const tombstones = of.before?.tombstones ?? new Map<string, Tombstone>();
  const onMessage = (message: ToAgent): void => {
    if (message.type !== 'desired') return;
    for (const tenant of message.tenants) tenants.set(tenant.tenant, tenant);
    for (const tombstone of message.tombstones) {
      tombstones.set(tombstone.tenant, tombstone);
      tenants.delete(tombstone.tenant);
    }
    for (const name of message.forget) tombstones.delete(name);
  };
  const position = of.before === null ? {} : { position: of.before.agent.position };
  const agent = new SimulatedAgent({
    url: of.url,
    host: of.host,
    privateKey: of.privateKey,
    onMessage,
    ...position,
  });
  const made = { host: of.host, agent, privateKey: of.privateKey, tenants, tombstones };
  agents.push(made);
  await agent.online();
  return made;
}

async function until(what: string, holds: () => Promise<boolean> | boolean): Promise<void> {
  const end = Date.now() + 20_000;
  while (!(await holds())) {
    if (Date.now() > end) throw new Error(`it never came: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

const told = (of: AgentHost, tenant: string, generation: number) => () =>
  of.tenants.get(tenant)?.generation === generation;
const report = (tenant: string, generation: number, phase: string) => ({
  tenant,
  generation,
  live: generation,
  phase,
  at: Date.now(),
  steps: [],
  problem: null,
  retryAt: null,
  containers: [],
});

describe('the coordinator with an agent on the other end', () => {
  test('takes a tenant through its whole life over the real socket', async () => {
    const { coordinator, client } = await start();
    const one = await enrolled(coordinator.url, client);
    await until(
      'online',
      async () => (await client.showHost({ params: { host: one.host } })).connection === 'online',
    );
    await client.applyApp({ params: { app: 'shop' }, body: { compose: COMPOSE } });
    const params = { tenant: 'acme' };
    await client.createTenant({ body: { tenant: 'acme', app: 'shop', domains: ['acme.example.com'] } });
    await until('the desired tenant', told(one, 'acme', 1));
    one.agent.report({ tenants: [report('acme', 1, 'settled')] });
    await until('settled', async () => (await client.showTenant({ params })).phase === 'settled');
    expect(await client.status()).toMatchObject({ tenants: { settled: 1 }, hosts: { online: 1 } });

    await client.changeTenant({ params, body: { variables: { GREETING: 'hi' } } });
    await until('generation 2', told(one, 'acme', 2));
    expect(one.tenants.get('acme')?.spec.services[0]?.environment).toMatchObject({ GREETING: 'hi' });
    expect(one.agent.position.digest).toBe(
      stateDigest({
        tenants: Object.fromEntries(one.tenants),
        tombstones: Object.fromEntries(one.tombstones),
      }),
    );
    await until('acknowledged', async () => {
      const host = await client.showHost({ params: { host: one.host } });
      return host.ackedRevision === host.revision;
    });

    await client.deleteTenant({ params });
    await until('the tombstone', () => one.tombstones.get('acme')?.state === 'proposed');
    one.agent.report({ removals: [{ tenant: 'acme', generation: 2, containers: ['web-1'] }] });
    await until('the confirmation', () => one.tombstones.get('acme')?.state === 'confirmed');
    one.agent.report({ tenants: [{ ...report('acme', 2, 'removed'), live: null }] });
    await until('forgotten', () => one.tombstones.size === 0);
    await expect(client.showTenant({ params })).rejects.toMatchObject({ code: 'not_found' });
    const kinds = (await client.listEvents({ query: { after: 0, tenant: 'acme' } })).items.map(
      (event) => event.kind,
    );
    expect(kinds).toEqual(['tenant.created', 'tenant.changed', 'tenant.changed', 'tenant.removed']);
    const actions = (await client.listAudit({ query: {} })).items.map((row) => row.action);
    expect(actions.filter((action) => action === 'tenant.removed')).toHaveLength(1);
  });

  test('that is killed comes back to an agent that needs nothing sent again', async () => {
    const first = await start();
    const one = await enrolled(first.coordinator.url, first.client);
    await until('online', async () => (await first.client.status()).hosts.online === 1);
    await first.client.applyApp({ params: { app: 'shop' }, body: { compose: COMPOSE } });
    await first.client.createTenant({ body: { tenant: 'acme', app: 'shop', domains: ['acme.example.com'] } });
    await until('the desired tenant', told(one, 'acme', 1));
    await first.coordinator.end('SIGKILL');
    const second = await start();
    expect(await second.client.status()).toMatchObject({ hosts: { total: 1, online: 0 } });
    const back = await connect({
      url: second.coordinator.url,
      host: one.host,
      privateKey: one.privateKey,
      before: one,
    });
    await until('online', async () => (await second.client.status()).hosts.online === 1);
    await second.client.restartTenant({ params: { tenant: 'acme' } });
    await until('generation 2', told(back, 'acme', 2));
    expect(await second.client.status()).toMatchObject({ epoch: 1, mode: 'apply' });
  });

  test('that was restored from an older backup only observes until somebody confirms', async () => {
    const first = await start();
    const one = await enrolled(first.coordinator.url, first.client);
    await until('online', async () => (await first.client.status()).hosts.online === 1);
    await first.client.applyApp({ params: { app: 'shop' }, body: { compose: COMPOSE } });
    await first.client.createTenant({ body: { tenant: 'acme', app: 'shop', domains: ['acme.example.com'] } });
    await until('the desired tenant', told(one, 'acme', 1));
    await first.coordinator.end('SIGTERM');
    cpSync(join(dir, 'berth.db'), join(dir, 'backup.db'));
    const second = await start();
    const again = await connect({
      url: second.coordinator.url,
      host: one.host,
      privateKey: one.privateKey,
      before: one,
    });
    await second.client.restartTenant({ params: { tenant: 'acme' } });
    await until('generation 2', told(again, 'acme', 2));
    await second.coordinator.end('SIGTERM');

    cpSync(join(dir, 'backup.db'), join(dir, 'berth.db'));
    for (const rest of ['berth.db-wal', 'berth.db-shm']) rmSync(join(dir, rest), { force: true });
    const third = await start();
    const late = await connect({
      url: third.coordinator.url,
      host: one.host,
      privateKey: one.privateKey,
      before: again,
    });
    await until('observing', async () => (await third.client.status()).mode === 'observe');
    expect(late.agent.mode).toBe('observe');
    const change = third.client.restartTenant({ params: { tenant: 'acme' } });
    await expect(change).rejects.toMatchObject({ code: 'observe_only' });
    expect((await third.client.explainTenant({ params: { tenant: 'acme' } })).verdict).toContain(
      'only observes',
    );
    expect(await third.client.confirmEpoch({})).toMatchObject({ mode: 'apply', epoch: 2 });
    await until('told to apply', () => late.agent.mode === 'apply' && late.agent.position.epoch === 2);
  });
});
