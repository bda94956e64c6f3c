import { execFile } from 'node:child_process';
import { request } from 'node:http';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { realSleep } from '@berth/agent/system/clock';
import type { ContainerPlan, Step } from '@berth/shared/domain/step';
import type { TenantNetwork } from '@berth/shared/domain/network';
import { createTestHost, type TestHost } from './support/host.ts';
import { webImage } from './support/images.ts';
import { createOwnDocker, type OwnDocker } from './support/own-docker.ts';

const run = promisify(execFile);
const forever = new AbortController().signal;
let own: OwnDocker;
let host: TestHost;
const tenants: { name: string; network: TenantNetwork; plan: ContainerPlan; virtual: string }[] = [];

beforeAll(async () => {
  own = await createOwnDocker();
  await own.start();
  host = await createTestHost({ dockerSocket: own.socketPath }, own.docker);
  const image = await webImage(own.docker);
  await host.executor.ensureNetworkBase();
  for (const [slot, name] of ['acme', 'globex'].entries()) {
    const network = host.network(slot, name);
    const virtual = host.config.virtualCidr.replace('.0/24', `.${slot + 1}`);
    const plan = host.plan({
      tenant: name,
      network,
      host: 10,
      image,
      virtual,
      spec: {
        command: ['serve'],
        environment: { VERSION: name },
        route: { port: 8080, path: '/', health: '/' },
      },
    });
    tenants.push({ name, network, plan, virtual });
    await ok({ kind: 'network.ensure', tenant: name, network });
    await ok({ kind: 'containers.start', tenant: name, generation: 1, containers: [plan] });
    await ok({ kind: 'containers.probe', tenant: name, generation: 1, containers: [plan] });
    const target = { kind: 'containers' as const, endpoints: [{ address: plan.address, port: 8080 }] };
    await ok({ kind: 'route.switch', tenant: name, generation: 1, entries: [{ virtual, target }] });
  }
  await ok({
    kind: 'ingress.apply',
    sites: tenants.map(({ name, virtual }) => ({
      tenant: name,
      service: 'web',
      hosts: [`${name}.example.com`],
      path: '/',
      virtual,
    })),
  });
});
afterAll(async () => {
  await host.close();
  await own.close();
});

async function ok(step: Step): Promise<void> {
  const outcome = await host.run(step);
  if (outcome.kind === 'failed') throw new Error(outcome.problem.message);
}

function get(name: string): Promise<string> {
  return new Promise((resolve) => {
    const req = request(
      {
        host: '127.0.0.1',
        port: host.config.nginx.httpPort,
        headers: { host: `${name}.example.com` },
        agent: false,
        timeout: 2_000,
      },
      (response) => {
        let body = '';
        response.on('data', (chunk: Buffer) => (body += chunk.toString()));
        response.on('end', () => resolve(body));
      },
    );
    req.on('timeout', () => req.destroy(new Error('timeout')));
    req.on('error', (error) => resolve(error.message));
    req.end();
  });
}

async function allAnswer(): Promise<number> {
  const began = Date.now();
  const signal = AbortSignal.timeout(30_000);
  for (const { name } of tenants) while ((await get(name)) !== name) await realSleep(50, signal);
  return Date.now() - began;
}

describe('after a reboot', () => {
  test('every tenant answers, with no agent and no coordinator, from files alone', async () => {
    await allAnswer();
    const { nginx, nft, paths, config } = host.system;
    await nginx.quit();
    while ((await nginx.alive()) !== null) await realSleep(20, forever);
    await own.stop();
    await nft.drop();
    await run('ip', ['route', 'del', 'local', config.virtualCidr, 'dev', 'lo']);
    await run('ip', ['route', 'del', 'unreachable', config.tenantCidr, 'metric', '4096']);
    for (const { network } of tenants) await run('ip', ['link', 'del', network.bridge]).catch(() => {});
    for (const { name } of tenants) expect(await get(name)).not.toBe(name);

    // What the boot unit does, then Docker, then Nginx.
    await run('ip', ['-force', '-batch', paths.ipBatch]);
    await run('nft', ['-f', paths.staticNft]);
    await run('nft', ['-f', paths.routesNft]);
    await own.start();
    const dir = paths.nginxDir;
    await run(config.nginx.binary, ['-p', `${dir}/`, '-e', `${dir}/error.log`, '-c', paths.nginxConf]);
    await allAnswer();
    const isolated = await host.system.docker.exec(tenants[0]?.plan.name ?? '', [
      'sh',
      '-c',
      `printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 2 ${tenants[1]?.plan.address} 8080`,
    ]);
    expect(isolated.output).not.toContain('globex');
  });

  test('a new agent finds all as it was, and touches nothing', async () => {
    const again = host.reborn();
    const started = async (): Promise<string[]> =>
      await Promise.all(
        tenants.map(async ({ plan }) => (await own.docker.getContainer(plan.name).inspect()).State.StartedAt),
      );
    const before = await started();
    await again.executor.ensureNetworkBase();
    const seen = await again.observer.observe(AbortSignal.timeout(10_000));
    expect(seen.containers.map((each) => [each.tenant, each.state])).toEqual(
      expect.arrayContaining([
        ['acme', 'running'],
        ['globex', 'running'],
      ]),
    );
    expect(seen.sites?.map((site) => site.tenant)).toEqual(['acme', 'globex']);
    expect([...seen.routes.keys()].sort()).toEqual(tenants.map(({ virtual }) => virtual));
    expect(seen.networks).toHaveLength(2);
    expect(await started()).toEqual(before);
    await allAnswer();
  });

  test('a daemon that is stopped and comes back is noticed, and its tenants answer again', async () => {
    const heard: string[] = [];
    const stop = new AbortController();
    host.observer.watch((why) => heard.push(why), stop.signal);
    try {
      await realSleep(300, forever);
      await own.stop();
      while (!heard.includes('docker went away')) await realSleep(50, AbortSignal.timeout(5_000));
      await expect(host.observer.observe(AbortSignal.timeout(5_000))).rejects.toMatchObject({
        code: 'docker_unavailable',
      });
      await own.start();
      while (!heard.includes('docker is back')) await realSleep(50, AbortSignal.timeout(10_000));
      await allAnswer();
    } finally {
      stop.abort();
    }
  });
});
