import { Agent, request } from 'node:http';
import { readFile, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { realSleep } from '@berth/agent/system/clock';
import { Connections } from '@berth/agent/system/connections';
import type { ContainerPlan, StepOutcome } from '@berth/shared/domain/step';
import type { RouteTarget, Site, TenantNetwork } from '@berth/shared/domain/network';
import { createTestHost, type TestHost } from './support/host.ts';
import { webImage } from './support/images.ts';

let host: TestHost;
let network: TenantNetwork;
let image: string;
const forever = new AbortController().signal;

beforeAll(async () => {
  host = await createTestHost();
  image = await webImage(host.docker);
  await host.executor.ensureNetworkBase();
  network = host.network(0, 'acme');
  await ok({ kind: 'network.ensure', tenant: 'acme', network });
  const containers = [web(1), web(2)];
  await ok({ kind: 'containers.start', tenant: 'acme', generation: 1, containers });
  await ok({ kind: 'containers.probe', tenant: 'acme', generation: 1, containers });
  await ok({ kind: 'ingress.apply', sites: [site('acme', 1, '/', 'acme.example.com')] });
  await point(1, to(1));
});
afterAll(async () => {
  await host.close();
});

function web(generation: number): ContainerPlan {
  return host.plan({
    tenant: 'acme',
    network,
    host: 10 + generation,
    generation,
    image,
    virtual: virtual(1),
    spec: {
      command: ['serve'],
      environment: { VERSION: `v${generation}` },
      route: { port: 8080, path: '/', health: '/' },
    },
  });
}

async function ok(step: Parameters<TestHost['run']>[0]): Promise<string | undefined> {
  const outcome = await host.run(step);
  if (outcome.kind === 'failed') throw new Error(outcome.problem.message);
  return outcome.note;
}

function virtual(last: number): string {
  return host.config.virtualCidr.replace(/\.0\/24$/, `.${last}`);
}

function site(tenant: string, last: number, path: string, ...hosts: string[]): Site {
  return { tenant, service: 'web', hosts, path, virtual: virtual(last) };
}

const to = (generation: number): RouteTarget => ({
  kind: 'containers',
  endpoints: [{ address: web(generation).address, port: 8080 }],
});

async function point(last: number, target: RouteTarget): Promise<void> {
  const entries = [{ virtual: virtual(last), target }];
  await ok({ kind: 'route.switch', tenant: 'acme', generation: 1, entries });
}

interface Answer {
  status: number;
  body: string;
  headers: Record<string, string | string[] | undefined>;
}

function get(name: string, path = '/', agent?: Agent): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const req = request(
      {
        host: '127.0.0.1',
        port: host.config.nginx.httpPort,
        path,
        headers: { host: name },
        agent: agent ?? false,
        timeout: 10_000,
      },
      (response) => {
        let body = '';
        response.setEncoding('utf8');
        response.on('data', (text: string) => (body += text));
        response.on('end', () =>
          resolve({ status: response.statusCode ?? 0, body, headers: response.headers }),
        );
        response.on('error', reject);
      },
    );
    req.on('timeout', () => req.destroy(new Error('timeout')));
    req.on('error', reject);
    req.end();
  });
}

function problemOf(outcome: StepOutcome) {
  if (outcome.kind !== 'failed') throw new Error(`the step succeeded: ${outcome.note ?? ''}`);
  return outcome.problem;
}

describe('ingress.apply', () => {
  test('serves a tenant by its host name, and nobody else’s', async () => {
    expect(await get('acme.example.com')).toMatchObject({ status: 200, body: 'v1' });
    expect(await get('ACME.example.com:8080')).toMatchObject({ status: 200, body: 'v1' });
    expect(await get('other.example.com')).toMatchObject({ status: 421 });
    expect((await get('acme.example.com')).headers['server']).toBe('nginx');
    const seen = await host.observer.observe(AbortSignal.timeout(5_000));
    expect(seen.sites).toEqual([site('acme', 1, '/', 'acme.example.com')]);
  });

  test('does not reload when nothing changed', async () => {
    const before = host.system.nginx.reloads();
    const sites = [site('acme', 1, '/', 'acme.example.com')];
    expect(await ok({ kind: 'ingress.apply', sites })).toBe('nothing changed');
    expect(host.system.nginx.reloads()).toBe(before);
  });

  test('leads paths of one host to different services, the longest first', async () => {
    const acme = site('acme', 1, '/', 'acme.example.com');
    await ok({
      kind: 'ingress.apply',
      sites: [acme, site('acme', 2, '/api', 'acme.example.com'), site('acme', 3, '/only', 'b.example.com')],
    });
    await point(2, to(2));
    await point(3, to(2));
    expect((await get('acme.example.com', '/')).body).toBe('v1');
    expect((await get('acme.example.com', '/api')).body).toBe('v2');
    expect((await get('acme.example.com', '/api/x?y=1')).body).toBe('v2');
    expect((await get('acme.example.com', '/apix')).body).toBe('v1');
    expect((await get('b.example.com', '/only/x')).body).toBe('v2');
    // Nobody has that path, and no map of Nginx's knows it.
    expect(await get('b.example.com', '/')).toMatchObject({ status: 404, body: 'Nothing is routed here.\n' });
    expect((await get('b.example.com', '/onlyx')).status).toBe(404);
    expect((await get('c.example.com', '/only')).status).toBe(421);
    const checks = [{ host: 'b.example.com', path: '/', virtual: virtual(3), service: 'web' }];
    const unverified = await host.run({ kind: 'route.verify', tenant: 'acme', generation: 1, checks });
    expect(problemOf(unverified).message).toContain('nothing is routed there');
  });

  test('a path that is routed no more says so from the switch on, without a reload, until it is routed again', async () => {
    const sites = [
      site('acme', 1, '/', 'acme.example.com'),
      site('acme', 2, '/old', 'd.example.com'),
      site('acme', 3, '/new', 'd.example.com'),
    ];
    await ok({ kind: 'ingress.apply', sites });
    await point(2, to(1));
    expect((await get('d.example.com', '/old')).body).toBe('v1');
    const reloads = host.system.nginx.reloads();
    const entries = [
      { virtual: virtual(2), target: { kind: 'unrouted' } as const },
      { virtual: virtual(3), target: to(2) },
    ];
    await ok({ kind: 'route.switch', tenant: 'acme', generation: 2, entries });
    expect((await get('d.example.com', '/new')).body).toBe('v2');
    // A connection that Nginx kept may lead to the old containers for a moment, as after any switch.
    await expect
      .poll(() => get('d.example.com', '/old'), { timeout: 5_000 })
      .toMatchObject({ status: 404, body: 'Nothing is routed here.\n' });
    const seen = await host.observer.observe(AbortSignal.timeout(5_000));
    expect(seen.routes.get(virtual(2))).toEqual({ kind: 'unrouted' });
    await point(2, to(1));
    expect((await get('d.example.com', '/old')).body).toBe('v1');
    expect(host.system.nginx.reloads()).toBe(reloads);
  });

  test('a site without containers gets a short page, a paused one maintenance', async () => {
    const away = await (async () => {
      await ok({
        kind: 'ingress.apply',
        sites: [site('acme', 1, '/', 'acme.example.com'), site('acme', 9, '/', 'empty.example.com')],
      });
      return await get('empty.example.com');
    })();
    expect(away.status).toBe(502);
    expect(away.body).toContain('not available');
    await point(9, { kind: 'maintenance' });
    const paused = await get('empty.example.com');
    expect(paused.status).toBe(503);
    expect(paused.headers['retry-after']).toBe('60');
    const seen = await host.observer.observe(AbortSignal.timeout(5_000));
    expect(seen.routes.get(virtual(9))).toEqual({ kind: 'maintenance' });
  });

  test('refuses names that could end a directive, and leaves the live files as they are', async () => {
    const before = await readFile(host.system.paths.nginxConf, 'utf8');
    for (const bad of [
      site('acme', 1, '/', 'a.com;} server { listen 1; #'),
      site('acme', 1, '/', 'default'),
      site('acme', 1, '/a;b', 'a.example.com'),
      site('acme', 1, '/a"b', 'a.example.com'),
      { ...site('acme', 1, '/', 'a.example.com'), virtual: '1.2.3.4; evil' },
    ])
      expect(problemOf(await host.run({ kind: 'ingress.apply', sites: [bad] })).code).toBe('ingress_invalid');
    const twice = [site('acme', 1, '/', 'a.example.com'), site('globex', 2, '/', 'a.example.com')];
    expect(problemOf(await host.run({ kind: 'ingress.apply', sites: twice })).message).toContain('globex');
    expect(await readFile(host.system.paths.nginxConf, 'utf8')).toBe(before);
    expect((await get('acme.example.com')).body).toBe('v1');
  });

  test('keeps the live files byte for byte when Nginx refuses the new ones', async () => {
    const before = await readFile(host.system.paths.nginxConf, 'utf8');
    const { nginx } = host.system;
    const original = nginx.complaintAbout.bind(nginx);
    // Nginx's own verdict on a file that it cannot take.
    nginx.complaintAbout = async (file, signal) => {
      await writeFile(file, `${await readFile(file, 'utf8')}\nbogus_directive on;\n`);
      return await original(file, signal);
    };
    try {
      const sites = [site('acme', 1, '/', 'new.example.com')];
      const problem = problemOf(await host.run({ kind: 'ingress.apply', sites }));
      expect(problem.code).toBe('ingress_invalid');
      expect(problem.message).toContain('bogus_directive');
    } finally {
      nginx.complaintAbout = original;
    }
    expect(await readFile(host.system.paths.nginxConf, 'utf8')).toBe(before);
    expect(await original(host.system.paths.nginxConf)).toBeNull();
  });

  test('starts Nginx again after its master was killed, workers included', async () => {
    const heard: string[] = [];
    const stop = new AbortController();
    host.observer.watch((why) => heard.push(why), stop.signal);
    try {
      await realSleep(100, forever);
      const master = await host.system.nginx.alive();
      if (master === null) throw new Error('Nginx does not run');
      process.kill(master, 'SIGKILL');
      const began = Date.now();
      while (!heard.includes('nginx went away') && Date.now() - began < 5_000) await realSleep(50, forever);
      expect(heard).toContain('nginx went away');
      const seen = await host.observer.observe(AbortSignal.timeout(5_000));
      expect(seen.sites).toBeNull();
      const sites = [site('acme', 1, '/', 'acme.example.com')];
      expect(await ok({ kind: 'ingress.apply', sites })).toBe('started');
      expect((await get('acme.example.com')).body).toBe('v1');
    } finally {
      stop.abort();
    }
  });

  test('passes WebSockets through', async () => {
    const echo = host.plan({
      tenant: 'acme',
      network,
      host: 30,
      image,
      service: 'echo',
      spec: {
        command: [
          'sh',
          '-c',
          `nc -ll -p 8080 -e sh -c 'while read line; do [ "$line" = "$(printf "\\r")" ] && break; done; printf "HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\n\\r\\n"; cat'`,
        ],
      },
    });
    await ok({ kind: 'containers.start', tenant: 'acme', generation: 1, containers: [echo] });
    const sites = [site('acme', 1, '/', 'acme.example.com'), site('acme', 4, '/', 'ws.example.com')];
    await ok({ kind: 'ingress.apply', sites });
    await point(4, { kind: 'containers', endpoints: [{ address: echo.address, port: 8080 }] });
    await realSleep(300, forever);
    const text = await new Promise<string>((resolve) => {
      let all = '';
      const socket = connect({ host: '127.0.0.1', port: host.config.nginx.httpPort });
      socket.setTimeout(5_000, () => socket.destroy());
      socket.on('connect', () =>
        socket.write(
          'GET / HTTP/1.1\r\nHost: ws.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n',
        ),
      );
      socket.on('data', (chunk) => {
        const first = all === '';
        all += chunk.toString();
        if (first) socket.write('hello');
        if (all.endsWith('hello')) socket.destroy();
      });
      socket.on('error', () => {});
      socket.on('close', () => resolve(all));
    });
    expect(text).toContain('101 Switching Protocols');
    expect(text).toContain('hello');
  });
});

describe('switch under load', () => {
  test('no keep-alive request fails, and the old colour is free of connections soon after', async () => {
    await ok({ kind: 'ingress.apply', sites: [site('acme', 1, '/', 'acme.example.com')] });
    await point(1, to(1));
    const reloads = host.system.nginx.reloads();
    const agent = new Agent({ keepAlive: true, maxSockets: 32 });
    let running = true;
    const seen: Record<string, number> = {};
    const failures: string[] = [];
    const client = async (): Promise<void> => {
      while (running) {
        try {
          const answer = await get('acme.example.com', '/', agent);
          const key = answer.status === 200 ? answer.body : `status ${answer.status}`;
          seen[key] = (seen[key] ?? 0) + 1;
          if (answer.status !== 200) failures.push(key);
        } catch (error) {
          failures.push(String(error));
        }
      }
    };
    const clients = Array.from({ length: 32 }, client);
    const drains: number[] = [];
    for (const [from, next] of [
      [1, 2],
      [2, 1],
      [1, 2],
    ] as const) {
      await realSleep(700, forever);
      await point(1, to(next));
      const checks = [{ host: 'acme.example.com', path: '/', virtual: virtual(1), service: 'web' }];
      await ok({ kind: 'route.verify', tenant: 'acme', generation: next, checks });
      const began = Date.now();
      const addresses = [web(from).address];
      const note = await ok({ kind: 'drain', tenant: 'acme', addresses, timeoutMs: 20_000 });
      expect(note).toContain('no open connection');
      drains.push(Date.now() - began);
      const containers = [await host.refOf(web(from))];
      await ok({ kind: 'containers.stop', tenant: 'acme', containers, why: 'test' });
      await realSleep(200, forever);
      await ok({ kind: 'containers.resume', tenant: 'acme', containers });
      await ok({ kind: 'containers.probe', tenant: 'acme', generation: from, containers: [web(from)] });
    }
    running = false;
    await Promise.all(clients);
    agent.destroy();
    expect(failures).toEqual([]);
    expect(seen['v1']).toBeGreaterThan(100);
    expect(seen['v2']).toBeGreaterThan(100);
    expect(host.system.nginx.reloads()).toBe(reloads);
    console.info(`requests ${JSON.stringify(seen)}, drains ${drains.join(', ')} ms`);
  });

  test('a drain that runs out of time says how much was left', async () => {
    await point(1, to(1));
    const socket = connect({ host: virtual(1), port: 80 });
    await new Promise<void>((resolve) => socket.on('connect', resolve));
    try {
      expect((await new Connections().open()).get(web(1).address)).toBe(1);
      const note = await ok({ kind: 'drain', tenant: 'acme', addresses: [web(1).address], timeoutMs: 300 });
      expect(note).toMatch(/^1 connection was still open after/);
    } finally {
      socket.destroy();
    }
  });

  test('verification fails when the new containers answer badly, and when the kernel leads nowhere', async () => {
    const check = { host: 'acme.example.com', path: '/bad', virtual: virtual(1), service: 'web' };
    const of = { kind: 'route.verify' as const, tenant: 'acme', generation: 1 };
    const bad = problemOf(await host.run({ ...of, checks: [check] }));
    expect(bad).toMatchObject({ code: 'verify_failed', service: 'web' });
    expect(bad.message).toContain('it answers 500');
    const gone = problemOf(await host.run({ ...of, checks: [{ ...check, virtual: virtual(200) }] }));
    expect(gone.message).toContain('does not lead');
  });
});
