import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import type { Egress } from '@berth/shared/domain/egress';
import type { TenantNetwork } from '@berth/shared/domain/network';
import type { ContainerPlan, StepOutcome } from '@berth/shared/domain/step';
import { createBeyond, type Beyond } from './support/beyond.ts';
import { createTestHost, type TestHost } from './support/host.ts';
import { busyboxImage } from './support/images.ts';

/** Policies for egress and rules that are taken away, with real containers and a machine beyond the host. */

const run = promisify(execFile);
let host: TestHost;
let beyond: Beyond;
const networks = new Map<string, TenantNetwork>();
const containers = new Map<string, ContainerPlan>();

beforeAll(async () => {
  host = await createTestHost();
  beyond = await createBeyond(host.config.agent);
  const image = await busyboxImage(host.docker);
  await host.executor.ensureNetworkBase();
  for (const [slot, tenant] of ['acme', 'globex'].entries()) {
    const network = host.network(slot, tenant);
    networks.set(tenant, network);
    const plan = host.plan({ tenant, network, host: 10, image });
    containers.set(tenant, plan);
    await set(tenant);
    await ok(host.run({ kind: 'containers.start', tenant, generation: 1, containers: [plan] }));
  }
});
afterAll(async () => {
  await beyond?.close();
  await host?.close();
});

async function ok(outcome: Promise<StepOutcome>): Promise<void> {
  const result = await outcome;
  if (result.kind === 'failed') throw new Error(result.problem.message);
}

async function set(tenant: string, egress?: Egress): Promise<void> {
  const network = networks.get(tenant);
  if (network === undefined) throw new Error(`no network of ${tenant}`);
  await ok(
    host.run({ kind: 'network.ensure', tenant, network, ...(egress === undefined ? {} : { egress }) }),
  );
}

const nameOf = (tenant: string): string => containers.get(tenant)?.name ?? '';

/** Whether a process inside the tenant's container gets an answer from there. */
async function reaches(tenant: string, address: string): Promise<boolean> {
  const ask = `printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 2 ${address} 8080`;
  const { output } = await host.system.docker.exec(nameOf(tenant), ['sh', '-c', ask]);
  return output.includes('beyond');
}

async function reached(tenant: string): Promise<Record<string, boolean>> {
  const { internet, privately, metadata } = beyond;
  return {
    internet: await reaches(tenant, internet),
    privately: await reaches(tenant, privately),
    metadata: await reaches(tenant, metadata),
  };
}

describe('a policy for egress', () => {
  test.each<[string, Egress | undefined, { internet: boolean; privately: boolean }]>([
    ['by default', undefined, { internet: true, privately: true }],
    ['public', 'public', { internet: true, privately: false }],
    ['none', 'none', { internet: false, privately: false }],
    ['a range', ['172.31.255.0/24'], { internet: false, privately: true }],
    [
      'overlapping ranges',
      ['198.51.100.0/24', '198.51.0.0/16', '1.2.3.4/32'],
      { internet: true, privately: false },
    ],
    ['all addresses there are', ['0.0.0.0/0'], { internet: true, privately: true }],
    ['the metadata service’s range', ['169.254.0.0/16'], { internet: false, privately: false }],
    ['internet again', 'internet', { internet: true, privately: true }],
  ])('%s lets through what it says and never link-local addresses', async (_name, egress, expected) => {
    const before = await host.docker.getContainer(nameOf('acme')).inspect();
    await set('acme', egress);
    expect(await reached('acme')).toEqual({ ...expected, metadata: false });
    // Nobody else's changes by it, and no container is touched for it.
    expect(await reaches('globex', beyond.internet)).toBe(true);
    const after = await host.docker.getContainer(nameOf('acme')).inspect();
    expect(after.State.StartedAt).toBe(before.State.StartedAt);
  });

  test('does not open other tenants or the host, whatever it lists', async () => {
    const there = containers.get('globex')?.address ?? '';
    const gateway = networks.get('acme')?.gateway ?? '';
    await set('acme', [host.config.tenantCidr, host.config.virtualCidr]);
    const argv = (address: string): string[] => ['ping', '-c', '1', '-W', '1', address];
    for (const address of [there, gateway])
      expect((await host.system.docker.exec(nameOf('acme'), argv(address))).exitCode, address).not.toBe(0);
    await set('acme');
  });

  test('ends connections that are open already', async () => {
    // Asks two seconds after it has connected.
    const late = `(sleep 2; printf 'GET / HTTP/1.0\\r\\n\\r\\n'; sleep 1) | nc ${beyond.internet} 8080 & sleep 4; kill $!`;
    const open = (): Promise<{ output: string }> =>
      host.system.docker.exec(nameOf('acme'), ['sh', '-c', late]);
    expect((await open()).output).toContain('beyond');
    const cut = open();
    await sleep(1_000);
    await set('acme', 'none');
    expect((await cut).output).not.toContain('beyond');
    await set('acme');
  });

  test('is remembered by the boot file, and by an agent that is started anew', async () => {
    await set('acme', 'none');
    await set('globex', ['172.31.255.0/24']);
    await host.system.nft.drop();
    const again = host.reborn();
    await again.executor.ensureNetworkBase();
    expect([...again.system.egress.policies.values()]).toEqual(['none', ['172.31.255.0/24']]);
    expect(await reached('acme')).toMatchObject({ internet: false, privately: false });
    expect(await reached('globex')).toMatchObject({ internet: false, privately: true });
    await again.system.nft.drop();
    for (let boot = 0; boot < 2; boot += 1) {
      await run('nft', ['-f', host.system.paths.staticNft]);
      await run('nft', ['-f', host.system.paths.routesNft]);
    }
    expect(await reached('globex')).toMatchObject({ internet: false, privately: true });
    await set('acme');
    await set('globex');
    expect(await readFile(host.system.paths.staticNft, 'utf8')).not.toContain('egress_none');
  });
});

describe('IPv6', () => {
  test('is not there in a tenant’s network, and leads nowhere', async () => {
    const ipv6 = async (...argv: string[]): Promise<string> =>
      (await host.system.docker.exec(nameOf('acme'), argv)).output.trim();
    expect(await ipv6('ip', '-6', 'addr', 'show', 'dev', 'eth0')).toBe('');
    expect(await ipv6('ip', '-6', 'route')).toBe('');
    const rules = (await host.system.nft.readTable()).fixed?.rules ?? '';
    expect(rules).toContain('"ipv6"');
  });
});

describe('somebody else’s hand in the rules', () => {
  const table = (): string => host.system.nft.table;
  const nft = async (...argv: string[]): Promise<void> => {
    await run('nft', argv);
  };

  test.each<[string, (bridge: string) => Promise<void>]>([
    ['the whole table goes', () => nft('delete', 'table', 'inet', table())],
    ['all its rules are flushed', () => nft('flush', 'table', 'inet', table())],
    ['one chain is flushed', () => nft('flush', 'chain', 'inet', table(), 'forward')],
    ['one rule is put before all others', () => nft('insert', 'rule', 'inet', table(), 'forward', 'accept')],
    ['a rule is added', () => nft('add', 'rule', 'inet', table(), 'input', 'counter', 'accept')],
    ['a chain is added', () => nft('add', 'chain', 'inet', table(), 'extra')],
    [
      'a tenant’s policy is taken away',
      (bridge) => nft('delete', 'element', 'inet', table(), 'egress', `{ "${bridge}" }`),
    ],
    ['a policy’s chain is emptied', () => nft('flush', 'chain', 'inet', table(), 'egress_none')],
    [
      'two tenants are joined',
      (bridge) => nft('add', 'element', 'inet', table(), 'pairs', `{ "${bridge}" . "docker0" }`),
    ],
    ['the pairs are flushed', () => nft('flush', 'set', 'inet', table(), 'pairs')],
    [
      'a name server is added',
      () => nft('add', 'element', 'inet', table(), 'resolvers', '{ 169.254.169.254 }'),
    ],
    [
      'another table has its name',
      async () => {
        await nft('delete', 'table', 'inet', table());
        await nft('add', 'table', 'inet', table());
        await nft('add', 'chain', 'inet', table(), 'forward');
      },
    ],
    [
      'the static part alone is loaded again, without the routes',
      async () => {
        await nft('delete', 'table', 'inet', table());
        await nft('-f', host.system.paths.staticNft);
      },
    ],
  ])('is put right within two seconds and told once: %s', async (_name, harm) => {
    await set('acme', 'none');
    const virtual = host.config.virtualCidr.replace(/\.0\/24$/, '.40');
    const target = {
      kind: 'containers' as const,
      endpoints: [{ address: containers.get('acme')?.address ?? '', port: 8080 }],
    };
    await ok(
      host.run({ kind: 'route.switch', tenant: 'acme', generation: 1, entries: [{ virtual, target }] }),
    );
    const before = await host.system.nft.readTable();
    expect(before.fixed).not.toBeNull();
    const stop = new AbortController();
    const heard: string[] = [];
    host.observer.watch((why) => heard.push(why), stop.signal);
    try {
      await sleep(500);
      const began = performance.now();
      await harm(networks.get('acme')?.bridge ?? '');
      for (;;) {
        const now = await host.system.nft.readTable();
        if (heard.includes('nft rules changed') && JSON.stringify(now.fixed) === JSON.stringify(before.fixed))
          break;
        if (performance.now() - began > 2_000)
          throw new Error(`not put right within two seconds; heard ${JSON.stringify(heard)}`);
        await sleep(20);
      }
      expect((await host.system.nft.readRoutes()).single.get(virtual)).toEqual(target.endpoints[0]);
      expect(await reaches('acme', beyond.internet)).toBe(false);
      await sleep(700);
      expect(heard.filter((why) => why === 'nft rules changed')).toHaveLength(1);
    } finally {
      stop.abort();
      await set('acme');
    }
  });

  test('is put right when all rules of the machine are flushed, Docker’s too', async () => {
    const program = join(import.meta.dirname, 'support', 'flush-ruleset.ts');
    // In a network namespace of its own: the machine's other rules are not ours to flush.
    const { stdout } = await run('unshare', ['--net', process.execPath, program], { timeout: 30_000 });
    const { ms, heard } = z.object({ ms: z.number(), heard: z.array(z.string()) }).parse(JSON.parse(stdout));
    expect(ms).toBeLessThan(2_000);
    expect(heard).toEqual(['nft rules changed']);
  });

  test('our own changes are no event', async () => {
    const stop = new AbortController();
    const heard: string[] = [];
    host.observer.watch((why) => heard.push(why), stop.signal);
    try {
      await sleep(500);
      await set('acme', 'none');
      await set('globex', 'public');
      await set('acme');
      await set('globex');
      await sleep(800);
      expect(heard.filter((why) => why.startsWith('nft'))).toEqual([]);
    } finally {
      stop.abort();
    }
  });
});
