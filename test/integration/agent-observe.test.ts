import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { realSleep } from '@berth/agent/system/clock';
import type { ContainerPlan } from '@berth/shared/domain/step';
import type { ObservedContainer, ObservedHost } from '@berth/shared/domain/observed';
import type { TenantNetwork } from '@berth/shared/domain/network';
import { dockerSocket } from './support/docker.ts';
import { createDockerProxy, type DockerProxy } from './support/docker-proxy.ts';
import { createTestHost, type TestHost } from './support/host.ts';
import { busyboxImage } from './support/images.ts';

const forever = new AbortController().signal;
let host: TestHost;
let proxy: DockerProxy;
let folder: string;
let network: TenantNetwork;
let image: string;
let address = 2;
const heard: { why: string; at: number }[] = [];
const stop = new AbortController();

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'berth-proxy-'));
  proxy = createDockerProxy(join(folder, 'docker.sock'), dockerSocket());
  await proxy.up();
  host = await createTestHost({ dockerSocket: proxy.path });
  image = await busyboxImage(host.docker);
  await host.executor.ensureNetworkBase();
  network = host.network(0, 'acme');
  await host.run({ kind: 'network.ensure', tenant: 'acme', network });
  host.observer.watch((why) => heard.push({ why, at: Date.now() }), stop.signal);
  await realSleep(500, forever);
});
beforeEach(() => {
  heard.length = 0;
});
afterAll(async () => {
  stop.abort();
  await host.close();
  await proxy.down();
  await rm(folder, { recursive: true, force: true });
});

const observe = (): Promise<ObservedHost> => host.observer.observe(AbortSignal.timeout(10_000));

async function started(spec: Partial<ContainerPlan['spec']>): Promise<{ plan: ContainerPlan; id: string }> {
  address += 1;
  const plan = host.plan({ tenant: 'acme', network, host: address, image, virtual: '198.18.16.7', spec });
  const containers = [plan];
  const outcome = await host.run({ kind: 'containers.start', tenant: 'acme', generation: 1, containers });
  if (outcome.kind === 'failed') throw new Error(outcome.problem.message);
  return { plan, id: (await host.refOf(plan)).id };
}

async function find(id: string): Promise<ObservedContainer | undefined> {
  return (await observe()).containers.find((each) => each.id === id);
}

async function until(holds: () => Promise<boolean> | boolean, ms = 10_000): Promise<void> {
  const signal = AbortSignal.timeout(ms);
  while (!(await holds())) await realSleep(20, signal);
}

describe('observe', () => {
  test('reads everything the planner needs back from the labels', async () => {
    const healthcheck = {
      test: ['CMD', 'true'],
      intervalMs: 500,
      timeoutMs: 2_000,
      retries: 1,
      startPeriodMs: 0,
      startIntervalMs: 500,
    };
    const route = { port: 8080, path: '/', health: '/' };
    const { plan, id } = await started({ healthcheck, route, stopGraceMs: 1_234, drainMs: 4_321 });
    await until(async () => (await find(id))?.health === 'healthy');
    expect(await find(id)).toEqual({
      id,
      name: plan.name,
      tenant: 'acme',
      app: 'shop',
      release: 1,
      generation: 1,
      service: 'web',
      replica: 1,
      role: 'colour',
      specHash: 'hash-1',
      address: plan.address,
      virtual: '198.18.16.7',
      port: 8080,
      graceMs: 1_234,
      drainMs: 4_321,
      state: 'running',
      exitCode: null,
      health: 'healthy',
      deaths: 0,
    });
  });

  test('costs one list call and no inspect once it knows the networks', async () => {
    await observe();
    proxy.clear();
    for (let sweep = 0; sweep < 5; sweep += 1) await observe();
    expect(proxy.requests).toHaveLength(5);
    expect(proxy.requests.every((line) => line.includes('/containers/json?'))).toBe(true);
  });

  test('asks for the networks again after one was made behind our back', async () => {
    const before = (await observe()).networks.length;
    const labels = { 'berth.agent': host.config.agent, 'berth.tenant': 'hand' };
    const made = await host.docker.createNetwork({
      Name: `${host.config.agent}-hand`,
      Labels: labels,
      Options: { 'com.docker.network.bridge.name': `${host.config.bridgePrefix}3` },
      IPAM: { Driver: 'default', Config: [{ Subnet: host.network(3, 'hand').subnet }] },
    });
    await until(() => heard.some((each) => each.why === 'network create'));
    expect((await observe()).networks).toHaveLength(before + 1);
    await made.remove();
    await until(async () => (await observe()).networks.length === before);
  });

  test('tells about the host in bytes', async () => {
    const about = await host.observer.host(AbortSignal.timeout(5_000));
    expect(about).toMatchObject({ docker: 'up', nginx: 'down' });
    expect(about.memoryAvailableBytes).toBeGreaterThan(10_000_000);
    expect(about.diskTotalBytes).toBeGreaterThan(about.diskAvailableBytes);
    expect(about.cpus).toBeGreaterThan(0);
  });

  test('gives the last log lines of our containers only', async () => {
    const { id } = await started({
      command: ['sh', '-c', 'for i in 1 2 3; do echo line $i; done; exec sleep 1000'],
    });
    await until(async () => (await host.observer.logTail(id, 2, forever)).length === 2);
    expect(await host.observer.logTail(id, 2, forever)).toEqual(['line 2', 'line 3']);
    expect(await host.observer.logTail('no-such-container', 2, forever)).toEqual([]);
  });
});

describe('watch', () => {
  test('notices a container that dies and counts its deaths', async () => {
    const { id } = await started({ command: ['sh', '-c', 'sleep 0.6; exit 9'], restart: 'no' });
    heard.length = 0;
    await until(() => heard.some((each) => each.why === 'container die'));
    // Docker tells of the end a moment before its list shows it.
    await until(async () => (await find(id))?.state === 'exited');
    expect(await find(id)).toMatchObject({ state: 'exited', exitCode: 9, deaths: 1 });
  });

  test('counts every restart of a crash loop', async () => {
    const { id } = await started({ command: ['sh', '-c', 'sleep 0.1; exit 1'] });
    await until(async () => ((await find(id))?.deaths ?? 0) >= 3, 20_000);
    const { State } = await host.docker.getContainer(id).inspect();
    expect(['restarting', 'running']).toContain(State.Status);
    await host.docker.getContainer(id).remove({ force: true });
  });

  test('does not take a stop for a death, neither ours nor a person’s', async () => {
    const ours = await started({});
    const theirs = await started({});
    const containers = [await host.refOf(ours.plan)];
    await host.run({ kind: 'containers.stop', tenant: 'acme', containers, why: 'test' });
    await host.docker.getContainer(theirs.id).stop({ t: 0 });
    await until(() => heard.filter((each) => each.why === 'container die').length >= 2);
    expect(await find(ours.id)).toMatchObject({ state: 'exited', deaths: 0 });
    expect(await find(theirs.id)).toMatchObject({ state: 'exited', deaths: 0 });
  });

  test('says when Docker goes and when it is back, and what happened meanwhile is seen', async () => {
    const { id } = await started({});
    await proxy.down();
    await until(() => heard.some((each) => each.why === 'docker went away'));
    await expect(observe()).rejects.toMatchObject({ code: 'docker_unavailable' });
    expect(await host.observer.host(AbortSignal.timeout(5_000))).toMatchObject({ docker: 'down' });
    await host.docker.getContainer(id).remove({ force: true });
    await proxy.up();
    await until(() => heard.some((each) => each.why === 'docker is back'));
    expect(await find(id)).toBeUndefined();
    heard.length = 0;
    const again = await started({ command: ['sh', '-c', 'sleep 0.3; exit 1'], restart: 'no' });
    await until(async () => (await find(again.id))?.deaths === 1);
  });

  test('notices a route that someone else’s hand changes', async () => {
    const virtual = host.config.virtualCidr.replace('.0/24', '.50');
    const target = {
      kind: 'containers' as const,
      endpoints: [{ address: network.gateway.replace(/1$/, '9'), port: 80 }],
    };
    const entries = [{ virtual, target }];
    await host.run({ kind: 'route.switch', tenant: 'acme', generation: 1, entries });
    expect((await observe()).routes.get(virtual)).toEqual(target);
    await realSleep(300, forever);
    // Our own change coming back is no news.
    expect(heard.map((each) => each.why)).not.toContain('routes changed');
    const { nft } = host.system;
    await nft.load(`delete element inet ${nft.table} routes { ${virtual} }\n`);
    await until(() => heard.some((each) => each.why === 'routes changed'));
    expect((await observe()).routes.has(virtual)).toBe(false);
  });
});
