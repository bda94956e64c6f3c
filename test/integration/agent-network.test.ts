import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { realSleep } from '@berth/agent/system/clock';
import type { ContainerPlan, StepOutcome } from '@berth/shared/domain/step';
import type { RouteTarget, TenantNetwork } from '@berth/shared/domain/network';
import { createBeyond } from './support/beyond.ts';
import { createTestHost, type TestHost } from './support/host.ts';
import { busyboxImage } from './support/images.ts';

const run = promisify(execFile);
const serve = (text: string): string[] => [
  'sh',
  '-c',
  `mkdir -p /tmp/www; echo ${text} > /tmp/www/index.html; exec httpd -f -p 8080 -h /tmp/www`,
];
const route = { port: 8080, path: '/', health: '/' };

let host: TestHost;
let image: string;
const networks: Record<string, TenantNetwork> = {};

beforeAll(async () => {
  host = await createTestHost();
  image = await busyboxImage(host.docker);
  await host.executor.ensureNetworkBase();
  for (const [slot, tenant] of ['acme', 'globex'].entries()) {
    const network = host.network(slot, tenant);
    networks[tenant] = network;
    await ok(host.run({ kind: 'network.ensure', tenant, network }));
    const containers = [planAt(tenant, 10), planAt(tenant, 11)];
    await ok(host.run({ kind: 'containers.start', tenant, generation: 1, containers }));
    await ok(host.run({ kind: 'containers.probe', tenant, generation: 1, containers }));
  }
});
afterAll(async () => {
  await host.close();
});

function planAt(tenant: string, last: number): ContainerPlan {
  const network = networks[tenant];
  if (network === undefined) throw new Error(`no network of ${tenant}`);
  return host.plan({
    tenant,
    network,
    host: last,
    image,
    spec: { command: serve(`${tenant}-${last}`), route },
  });
}

async function ok(outcome: Promise<StepOutcome>): Promise<void> {
  const result = await outcome;
  if (result.kind === 'failed') throw new Error(result.problem.message);
}

function virtual(last: number): string {
  return host.config.virtualCidr.replace(/\.0\/24$/, `.${last}`);
}

const to = (tenant: string, ...lasts: number[]): RouteTarget => ({
  kind: 'containers',
  endpoints: lasts.map((last) => ({ address: planAt(tenant, last).address, port: 8080 })),
});

const point = (last: number, target: RouteTarget): Promise<StepOutcome> =>
  host.run({
    kind: 'route.switch',
    tenant: 'acme',
    generation: 1,
    entries: [{ virtual: virtual(last), target }],
  });

/** The body, or the error's code. */
async function get(address: string, port = 80): Promise<string> {
  return await new Promise((resolve) => {
    const socket = connect({ host: address, port });
    let text = '';
    socket.setTimeout(3_000, () => {
      socket.destroy();
      resolve('timeout');
    });
    socket.on('connect', () => socket.write('GET / HTTP/1.0\r\nHost: x\r\n\r\n'));
    socket.on('data', (chunk) => (text += chunk.toString()));
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? 'error'));
    socket.on('close', () => resolve(text.split('\r\n\r\n')[1]?.trim() ?? ''));
  });
}

/** The body that a process inside the tenant's first container gets from there; empty when it reaches nothing. */
async function fromInside(tenant: string, address: string, port = 8080): Promise<string> {
  const ask = `printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 3 ${address} ${port}`;
  const { output } = await host.system.docker.exec(planAt(tenant, 10).name, ['sh', '-c', ask]);
  return output.split('\r\n\r\n')[1]?.trim() ?? '';
}

describe('route.switch', () => {
  test('leads a virtual address to a container, elsewhere, to maintenance and to nothing', async () => {
    await ok(point(1, to('acme', 10)));
    expect(await get(virtual(1))).toBe('acme-10');
    await ok(point(1, to('acme', 11)));
    expect(await get(virtual(1))).toBe('acme-11');
    await ok(point(1, { kind: 'none' }));
    expect(await get(virtual(1))).toBe('ECONNREFUSED');
    const seen = await host.observer.observe(AbortSignal.timeout(5_000));
    expect(seen.routes.has(virtual(1))).toBe(false);
  });

  test('spreads over replicas and goes back to one', async () => {
    await ok(point(2, to('acme', 10, 11)));
    const seen = new Set<string>();
    for (let round = 0; round < 40; round += 1) seen.add(await get(virtual(2)));
    expect([...seen].sort()).toEqual(['acme-10', 'acme-11']);
    const { routes } = await host.observer.observe(AbortSignal.timeout(5_000));
    expect(routes.get(virtual(2))).toEqual(to('acme', 10, 11));
    await ok(point(2, to('acme', 11)));
    for (let round = 0; round < 10; round += 1) expect(await get(virtual(2))).toBe('acme-11');
  });

  test('is the same when it is run again, and survives a memory that is out of date', async () => {
    await ok(point(3, to('acme', 10)));
    await ok(point(3, to('acme', 10)));
    // Someone else's hand, which we have not noticed yet.
    await run('nft', ['delete', 'element', 'inet', host.system.nft.table, 'routes', `{ ${virtual(3)} }`]);
    await ok(point(3, to('acme', 11)));
    expect(await get(virtual(3))).toBe('acme-11');
  });

  test('changes nothing at all when its file cannot be written', async () => {
    await ok(point(12, to('acme', 10)));
    const folder = join(host.config.stateDir, 'network');
    const kept = await readFile(host.system.paths.routesNft, 'utf8');
    await run('mount', ['-t', 'tmpfs', '-o', 'size=16k', 'tmpfs', folder]);
    try {
      await writeFile(join(folder, 'full'), Buffer.alloc(64 * 1024)).catch(() => {});
      const outcome = await point(12, to('acme', 11));
      expect(outcome).toMatchObject({ kind: 'failed', problem: { code: 'state_unwritable' } });
      expect(await get(virtual(12))).toBe('acme-10');
    } finally {
      await run('umount', [folder]);
    }
    expect(await readFile(host.system.paths.routesNft, 'utf8')).toBe(kept);
    await ok(point(12, to('acme', 11)));
    expect(await get(virtual(12))).toBe('acme-11');
  });

  test('refuses an address outside the agent’s ranges', async () => {
    const target: RouteTarget = { kind: 'containers', endpoints: [{ address: '127.0.0.1', port: 22 }] };
    const outcome = await point(4, target);
    expect(outcome).toMatchObject({ kind: 'failed', problem: { code: 'route_failed' } });
  });

  test('an unmapped virtual address refuses at once, whatever listens on the host', async () => {
    const server = createServer((_request, response) => response.end('host service'));
    await new Promise<void>((resolve) => server.listen(0, '0.0.0.0', resolve));
    try {
      const bound = server.address();
      const port = bound !== null && typeof bound === 'object' ? bound.port : 0;
      expect(await get('127.0.0.1', port)).toBe('host service');
      expect(await get(virtual(99), port)).toBe('ECONNREFUSED');
      expect(await get(virtual(99))).toBe('ECONNREFUSED');
    } finally {
      server.close();
    }
  });
});

describe('isolation', () => {
  test('members of one tenant reach each other, and the host reaches them', async () => {
    expect(await fromInside('acme', planAt('acme', 11).address)).toBe('acme-11');
    expect(await get(planAt('acme', 11).address, 8080)).toBe('acme-11');
  });

  test('a tenant does not reach another tenant', async () => {
    const there = planAt('globex', 10).address;
    expect(await get(there, 8080)).toBe('globex-10');
    expect(await fromInside('acme', there)).toBe('');
  });

  test('a tenant does not reach services of the host, on any of its addresses', async () => {
    const server = createServer((_request, response) => response.end('host service'));
    await new Promise<void>((resolve) => server.listen(0, '0.0.0.0', resolve));
    try {
      const bound = server.address();
      const port = bound !== null && typeof bound === 'object' ? bound.port : 0;
      const gateway = networks['acme']?.gateway ?? '';
      expect(await get(gateway, port)).toBe('host service');
      expect(await fromInside('acme', gateway, port)).toBe('');
      expect(await fromInside('acme', await hostAddress(), port)).toBe('');
    } finally {
      server.close();
    }
  });

  test('a tenant does not reach virtual addresses, its own neither', async () => {
    await ok(point(5, to('globex', 10)));
    expect(await get(virtual(5))).toBe('globex-10');
    expect(await fromInside('acme', virtual(5), 80)).toBe('');
    expect(await fromInside('globex', virtual(5), 80)).toBe('');
  });

  test('a tenant reaches what lies beyond the host, but no link-local address such as the metadata service', async () => {
    const beyond = await createBeyond(host.config.agent);
    try {
      expect(await fromInside('acme', beyond.internet)).toBe('beyond');
      expect(await get(beyond.metadata, 8080)).toBe('beyond');
      expect(await fromInside('acme', beyond.metadata)).toBe('');
    } finally {
      await beyond.close();
    }
  });
});

describe('the base', () => {
  test('comes back within seconds when someone flushes all rules, with every route', async () => {
    await ok(point(6, to('acme', 10)));
    await ok(point(7, to('acme', 10, 11)));
    const stop = new AbortController();
    const heard: string[] = [];
    host.observer.watch((why) => heard.push(why), stop.signal);
    try {
      await realSleep(500, stop.signal);
      const before = (await host.system.nft.readTable()).fixed;
      const began = Date.now();
      // Docker's own tables are left in peace: other daemons' containers use them.
      await run('nft', ['delete', 'table', 'inet', host.system.nft.table]);
      while (!heard.includes('nft rules changed') && Date.now() - began < 10_000)
        await realSleep(50, stop.signal);
      expect(await get(virtual(6))).toBe('acme-10');
      expect(heard).toContain('nft rules changed');
      expect((await host.system.nft.readTable()).fixed).toEqual(before);
      expect(await fromInside('acme', planAt('acme', 11).address)).toBe('acme-11');
      await run('nft', ['flush', 'chain', 'inet', host.system.nft.table, 'forward']);
      await realSleep(1_500, stop.signal);
      expect((await host.system.nft.readTable()).fixed).toEqual(before);
    } finally {
      stop.abort();
    }
  });

  test('is restored by its files alone, again and again, as a boot does it', async () => {
    await ok(point(8, to('acme', 10)));
    const { paths, nft } = host.system;
    await nft.drop();
    await run('ip', ['route', 'del', 'local', host.config.virtualCidr, 'dev', 'lo']);
    for (let boot = 0; boot < 3; boot += 1) {
      await run('ip', ['-force', '-batch', paths.ipBatch]);
      await run('nft', ['-f', paths.staticNft]);
      await run('nft', ['-f', paths.routesNft]);
    }
    expect(await get(virtual(8))).toBe('acme-10');
    expect(await fromInside('acme', planAt('globex', 10).address)).toBe('');
    expect(await fromInside('acme', planAt('acme', 11).address)).toBe('acme-11');
    // The static part alone leaves the routes as they are.
    await run('nft', ['-f', paths.staticNft]);
    expect(await get(virtual(8))).toBe('acme-10');
  });

  test('a restarted agent believes the kernel rather than its file', async () => {
    await ok(point(9, to('acme', 10)));
    const stale = await readFile(host.system.paths.routesNft, 'utf8');
    await ok(point(9, to('acme', 11)));
    await writeFile(host.system.paths.routesNft, stale);
    const again = host.reborn();
    await again.executor.ensureNetworkBase();
    expect(await get(virtual(9))).toBe('acme-11');
    expect(await readFile(host.system.paths.routesNft, 'utf8')).toContain(planAt('acme', 11).address);
  });

  test('a routes file that was torn costs nothing but the routes', async () => {
    const { paths, nft } = host.system;
    await nft.drop();
    await writeFile(paths.routesNft, 'add element inet ber');
    const again = host.reborn();
    await again.executor.ensureNetworkBase();
    expect(await fromInside('acme', planAt('globex', 10).address)).toBe('');
    await ok(
      again.executor.execute(
        {
          kind: 'route.switch',
          tenant: 'acme',
          generation: 1,
          entries: [{ virtual: virtual(1), target: to('acme', 10) }],
        },
        AbortSignal.timeout(10_000),
      ),
    );
    expect(await get(virtual(1))).toBe('acme-10');
  });

  test('refuses ranges that the host uses itself, and takes its own and other agents’ for granted', async () => {
    await host.reborn().executor.ensureNetworkBase();
    for (const [range, setting] of [
      [host.config.virtualCidr, 'virtualCidr'],
      [host.config.tenantCidr, 'tenantCidr'],
    ] as const) {
      const theirs = range.replace('.0/24', '.252/32');
      await run('ip', ['route', 'add', 'blackhole', theirs]);
      try {
        await expect(host.reborn().executor.ensureNetworkBase()).rejects.toMatchObject({
          code: 'conflict',
          details: { setting },
        });
      } finally {
        await run('ip', ['route', 'del', 'blackhole', theirs]);
      }
    }
  });
});

describe('networks', () => {
  test('are made once, refused when the name is taken, removed only when they are ours', async () => {
    const network = host.network(2, 'initech');
    await ok(host.run({ kind: 'network.ensure', tenant: 'initech', network }));
    await ok(host.run({ kind: 'network.ensure', tenant: 'initech', network }));
    const seen = await host.observer.observe(AbortSignal.timeout(5_000));
    expect(seen.networks).toContainEqual(network);
    const taken = await host.run({
      kind: 'network.ensure',
      tenant: 'umbrella',
      network: { ...network, tenant: 'umbrella' },
    });
    expect(taken).toMatchObject({ kind: 'failed', problem: { code: 'conflict' } });
    const stolen = await host.run({
      kind: 'network.remove',
      tenant: 'umbrella',
      network: { ...network, tenant: 'umbrella' },
    });
    expect(stolen).toMatchObject({ kind: 'failed', problem: { code: 'conflict' } });
    await ok(host.run({ kind: 'network.remove', tenant: 'initech', network }));
    await ok(host.run({ kind: 'network.remove', tenant: 'initech', network }));
    expect(await readFile(host.system.paths.staticNft, 'utf8')).not.toContain(network.bridge);
  });

  test('with a bridge name that is not ours are never made', async () => {
    const network = { ...host.network(3, 'evil'), bridge: 'docker0' };
    const outcome = await host.run({ kind: 'network.ensure', tenant: 'evil', network });
    expect(outcome).toMatchObject({ kind: 'failed', problem: { code: 'conflict' } });
  });
});

async function hostAddress(): Promise<string> {
  const { stdout } = await run('ip', ['-j', '-4', 'route', 'get', '192.0.2.1']);
  const parsed: unknown = JSON.parse(stdout);
  const match = /"prefsrc":"([0-9.]+)"/.exec(JSON.stringify(parsed));
  return match?.[1] ?? '127.0.0.1';
}
