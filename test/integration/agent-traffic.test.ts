import { execFile } from 'node:child_process';
import { existsSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { realSleep } from '@berth/agent/system/clock';
import { createTrafficCounter, type TrafficCounter } from '@berth/agent/traffic/counter';
import { mountsBelow, unmountBelow } from '@berth/cli/local/mounts';
import type { RouteTarget, TenantNetwork } from '@berth/shared/domain/network';
import { newStatus, type Move, type TenantStatus } from '@berth/shared/domain/status';
import type { ContainerPlan, Step } from '@berth/shared/domain/step';
import { addTraffic, noTraffic, type TrafficSample } from '@berth/shared/domain/traffic';
import { createTestHost, type TestHost } from './support/host.ts';
import { webImage } from './support/images.ts';

const run = promisify(execFile);
const forever = new AbortController().signal;
let host: TestHost;
let network: TenantNetwork;
let image: string;

/** The last word on each sample, as a coordinator keeps it. */
let heard: Map<string, TrafficSample>;
const warnings: string[] = [];
/** What people are told of requests that may be missing. */
const said: { message: string; lost: number }[] = [];
const counters: { here: { alive: boolean }; stop: AbortController; ended: Promise<void> }[] = [];
let status: TenantStatus;

beforeAll(async () => {
  host = await createTestHost();
  image = await webImage(host.docker);
  await host.executor.ensureNetworkBase();
  network = host.network(0, 'acme');
  await ok({ kind: 'network.ensure', tenant: 'acme', network });
  const containers = [web(1), web(2)];
  await ok({ kind: 'containers.start', tenant: 'acme', generation: 1, containers });
  await ok({ kind: 'containers.probe', tenant: 'acme', generation: 1, containers });
  const sites = [{ tenant: 'acme', service: 'web', hosts: ['acme.test'], path: '/', virtual: virtual() }];
  await point(1);
  await ok({ kind: 'ingress.apply', sites });
});
afterEach(async () => {
  await stopAll();
  await point(1);
  warnings.length = 0;
  said.length = 0;
});
afterAll(async () => {
  await host.close();
});

const virtual = (): string => host.config.virtualCidr.replace(/\.0\/24$/, '.1');
const folder = (): string => host.system.paths.requestsDir;
const logFile = (): string => join(folder(), 'requests.log');

/** Answers VERSION, 500 on /bad, and 504 on /slow after six seconds: nobody answers there. */
const SERVE = `mkdir -p /tmp/n
sleep 100000 | nc -l -p 8099 &
cat > /tmp/n/nginx.conf <<END
user root root; daemon off; master_process off; pid /tmp/n/pid; error_log stderr crit;
events { worker_connections 4096; }
http { access_log off; client_body_temp_path /tmp/n/b; proxy_temp_path /tmp/n/p; fastcgi_temp_path /tmp/n/f;
uwsgi_temp_path /tmp/n/u; scgi_temp_path /tmp/n/s; keepalive_requests 1000000;
server { listen 8080 backlog=4096; location / { return 200 "$VERSION"; } location /bad { return 500 "bad"; }
location /slow { proxy_read_timeout 6s; proxy_pass http://127.0.0.1:8099; } } }
END
exec nginx -p /tmp/n/ -c /tmp/n/nginx.conf -e stderr
`;

function web(generation: number): ContainerPlan {
  return host.plan({
    tenant: 'acme',
    network,
    host: 10 + generation,
    generation,
    image,
    virtual: virtual(),
    spec: {
      command: ['sh', '-c', SERVE],
      environment: { VERSION: `v${generation}` },
      route: { port: 8080, path: '/', health: '/' },
      limits: { memoryBytes: 64 * 1024 * 1024, cpus: 2, pids: 64 },
    },
  });
}

async function ok(step: Step): Promise<void> {
  const outcome = await host.run(step);
  if (outcome.kind === 'failed') throw new Error(outcome.problem.message);
}

async function point(generation: number): Promise<void> {
  const endpoints = [{ address: web(generation).address, port: 8080 }];
  const target: RouteTarget = { kind: 'containers', endpoints };
  await ok({ kind: 'route.switch', tenant: 'acme', generation, entries: [{ virtual: virtual(), target }] });
}

const statusOf = (live: number, move: Move = { kind: 'idle' }): TenantStatus => ({
  ...newStatus('acme'),
  live,
  move,
});
/** Somebody waits for the figures, so that they come every 2 s. */
const watched = (live: number): TenantStatus =>
  statusOf(live, { kind: 'preparing', generation: 9, since: 0 });

/** A counter as a fresh agent has it, over whatever the one before left. */
async function start(): Promise<TrafficCounter> {
  const stop = new AbortController();
  const here = { alive: true };
  const counter = createTrafficCounter({
    system: host.system,
    statuses: () => new Map([['acme', status]]),
    tell: (each) => heard.set(`${each.tenant} ${each.generation} ${each.slot} ${each.run}`, each),
    clock: { now: () => Date.now() },
    // One that was killed does not wake again, and keeps nothing.
    sleep: (ms, signal) => realSleep(ms, signal).then(() => (here.alive ? undefined : new Promise(() => {}))),
    incomplete: (message, lost) => said.push({ message, lost }),
    log: { warn: (_fields, message) => warnings.push(message) },
  });
  await counter.prepare(stop.signal);
  counters.push({ here, stop, ended: counter.run(stop.signal) });
  return counter;
}

async function stopAll(): Promise<void> {
  for (const each of counters.splice(0)) {
    each.stop.abort();
    await each.ended;
  }
}

/** A counter that knows nothing, over an Nginx that has nothing left to say. */
async function startAfresh(): Promise<TrafficCounter> {
  await realSleep(1_200, forever);
  rmSync(join(folder(), 'checkpoint.json'), { force: true });
  heard = new Map();
  status = watched(1);
  const counter = await start();
  // Until Nginx writes, and until the workers that do not are gone.
  await until(() => existsSync(logFile()));
  await realSleep(500, forever);
  return counter;
}

/** All that was told of a generation so far. */
function countedFor(generation: number): { requests: number; errors: number; timed: number } {
  const { requests, errors, latency } = [...heard.values()]
    .filter((each) => each.generation === generation)
    .map((each) => each.traffic)
    .reduce(addTraffic, noTraffic());
  return { requests, errors, timed: latency.reduce((sum, count) => sum + count, 0) };
}

async function until(condition: () => boolean, timeoutMs = 15_000): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (!condition()) {
    if (Date.now() > deadline)
      throw new Error(`it did not come to pass: ${JSON.stringify([...heard])} ${warnings.join()}`);
    await realSleep(50, forever);
  }
}

/** So many requests over a few kept connections. Answers how often each status and body came. */
async function askMany(count: number, path = '/', until: () => boolean = () => false) {
  const agent = new Agent({ keepAlive: true, maxSockets: 8 });
  const answers = new Map<string, number>();
  let left = count;
  const one = (): Promise<string> =>
    new Promise((resolve, reject) => {
      const { listenAddress, httpPort } = host.config.nginx;
      const req = request(
        { host: listenAddress, port: httpPort, path, headers: { host: 'acme.test' }, agent, timeout: 10_000 },
        (response) => {
          let body = '';
          response.setEncoding('utf8');
          response.on('data', (text: string) => (body += text));
          response.on('end', () => resolve(`${response.statusCode} ${body}`));
          response.on('error', reject);
        },
      );
      req.on('timeout', () => req.destroy(new Error('timeout')));
      req.on('error', reject);
      req.end();
    });
  const client = async (): Promise<void> => {
    while (left > 0 && !until()) {
      left -= 1;
      // Beside the counter in this very process; it must have its turn.
      if (count === Number.POSITIVE_INFINITY) await realSleep(2, forever);
      const answer = await one();
      answers.set(answer, (answers.get(answer) ?? 0) + 1);
    }
  };
  await Promise.all(Array.from({ length: Math.min(8, count) }, client));
  agent.destroy();
  return answers;
}

const CONNECTIONS = 16;
/** Requests that wrk counted; those on their way when it ends it leaves out, one a connection at most. */
async function wrk(seconds: number): Promise<number> {
  const { httpPort } = host.config.nginx;
  const args = ['-t1', `-c${CONNECTIONS}`, `-d${seconds}s`, '-H', 'Host: acme.test'];
  const { stdout } = await run('wrk', [...args, `http://127.0.0.1:${httpPort}/`]);
  expect(stdout).not.toMatch(/Non-2xx|Socket errors/);
  return Number(/(\d+) requests in/.exec(stdout)?.[1]);
}

describe('requests of a tenant', () => {
  test('are counted to the last one, and 5xx among them, each with its time', async () => {
    await startAfresh();
    await askMany(1_500);
    await askMany(120, '/bad');
    await until(() => countedFor(1).requests >= 1_620);
    await realSleep(2_500, forever);
    expect(countedFor(1)).toEqual({ requests: 1_620, errors: 120, timed: 1_620 });
    expect(warnings).toEqual([]);
  });

  test('are all told when somebody asks for those until now, however seldom they are told of otherwise', async () => {
    const counter = await startAfresh();
    status = statusOf(1);
    counter.note(status);
    await askMany(10);
    await realSleep(2_500, forever);
    await askMany(200);
    const began = Date.now();
    await counter.upToNow(forever);
    expect(countedFor(1).requests).toBe(210);
    expect(Date.now() - began).toBeLessThan(3_000);
  });

  test('are counted under full load, while the log gives back its memory', async () => {
    await startAfresh();
    let answered = 0;
    const sizeBefore = statSync(logFile()).size;
    while (statSync(logFile()).size - sizeBefore < 6 * 1024 * 1024) answered += await wrk(4);
    await until(() => countedFor(1).requests >= answered, 30_000);
    await realSleep(2_500, forever);
    const { requests, errors } = countedFor(1);
    expect(errors).toBe(0);
    expect(requests).toBeGreaterThanOrEqual(answered);
    // Nginx writes down what wrk left behind unread, too.
    expect(requests - answered).toBeLessThanOrEqual(20 * CONNECTIONS);
    await until(() => statSync(logFile()).blocks * 512 < 5 * 1024 * 1024);
    expect(statSync(logFile()).size).toBeGreaterThan(6 * 1024 * 1024);
    expect(warnings).toEqual([]);
  }, 90_000);

  test('are neither lost nor counted twice when the agent is killed and another goes on', async () => {
    await startAfresh();
    let done = false;
    const load = askMany(Number.POSITIVE_INFINITY, '/', () => done);
    for (let round = 0; round < 3; round += 1) {
      await realSleep(2_700, forever);
      for (const each of counters.splice(0)) each.here.alive = false;
      await realSleep(1_300, forever);
      await start();
    }
    done = true;
    const sent = [...(await load).values()].reduce((a, b) => a + b, 0);
    await until(() => countedFor(1).requests >= sent);
    await realSleep(2_500, forever);
    expect(countedFor(1)).toMatchObject({ requests: sent, errors: 0 });
  }, 60_000);

  test('around a switch never go to the colour that did not serve them', async () => {
    const counter = await startAfresh();
    let done = false;
    const load = askMany(Number.POSITIVE_INFINITY, '/', () => done);
    await realSleep(2_000, forever);
    await point(2);
    counter.note(statusOf(1, { kind: 'switched', generation: 2, from: 1, since: Date.now() }));
    counter.note(statusOf(2, { kind: 'baking', generation: 2, from: 1, until: Date.now() + 60_000 }));
    await realSleep(6_000, forever);
    done = true;
    const answers = await load;
    await point(1);
    await counter.upToNow(forever);
    const [old, fresh] = [answers.get('200 v1') ?? 0, answers.get('200 v2') ?? 0];
    expect(countedFor(1).requests).toBeGreaterThan(0);
    expect(countedFor(1).requests).toBeLessThanOrEqual(old);
    expect(countedFor(2).requests).toBeGreaterThan(fresh / 4);
    expect(countedFor(2).requests).toBeLessThanOrEqual(fresh);
    expect(old + fresh).toBe([...answers.values()].reduce((a, b) => a + b, 0));
  }, 60_000);
});

describe('a request that takes long', () => {
  test('belongs to the colour that it was sent to, though it ends long after the switch', async () => {
    const counter = await startAfresh();
    await askMany(200);
    const slow = askMany(1, '/slow');
    await realSleep(2_000, forever);
    await point(2);
    counter.note(statusOf(1, { kind: 'switched', generation: 2, from: 1, since: Date.now() }));
    counter.note(statusOf(2, { kind: 'baking', generation: 2, from: 1, until: Date.now() + 60_000 }));
    await realSleep(2_500, forever);
    await askMany(100);
    expect([...(await slow).keys()][0]).toMatch(/^504 /);
    await until(() => countedFor(1).errors === 1 && countedFor(2).requests === 100);
    // An agent that was killed meanwhile knows it too.
    for (const each of counters.splice(0)) each.here.alive = false;
    status = statusOf(2, { kind: 'baking', generation: 2, from: 1, until: Date.now() + 60_000 });
    await start();
    await realSleep(2_500, forever);
    expect(countedFor(1)).toEqual({ requests: 201, errors: 1, timed: 201 });
    expect(countedFor(2)).toEqual({ requests: 100, errors: 0, timed: 100 });
  }, 60_000);
});

describe('a host that cannot count', () => {
  test('serves every request while the folder is full, and counts again when there is room', async () => {
    await startAfresh();
    const filler = join(folder(), 'filler');
    try {
      expect(() => writeFileSync(filler, Buffer.alloc(64 * 1024 * 1024))).toThrow(/ENOSPC/);
      const answers = await askMany(3_000);
      expect([...answers]).toEqual([['200 v1', 3_000]]);
      await realSleep(2_000, forever);
    } finally {
      rmSync(filler, { force: true });
    }
    // Nginx tries again a second after it found no room.
    await realSleep(2_000, forever);
    const before = countedFor(1).requests;
    await askMany(500);
    // A line that was cut off spoils the one that follows it, once for each of Nginx's workers.
    await until(() => countedFor(1).requests >= before + 490);
    expect(warnings.join()).toContain('no room');
    // Nothing that was counted meanwhile can be called good.
    const lost = [...heard.values()].filter((each) => each.generation === 1).map((each) => each.traffic.lost);
    expect(lost.some((each) => (each ?? 0) > 0)).toBe(true);
    expect(said[0]?.message).toContain('does not judge');
    expect(said[0]?.lost).toBeGreaterThan(0);
  }, 60_000);

  test('starts Nginx from its files alone after a boot, and logs nothing to the disk', async () => {
    await startAfresh();
    await stopAll();
    const { nginx, paths } = host.system;
    await nginx.quit();
    while ((await nginx.alive()) !== null) await realSleep(20, forever);
    expect(await unmountBelow(`${folder()}`)).toEqual([folder()]);
    const dir = paths.nginxDir;
    for (const there of ['empty', 'missing'] as const) {
      if (there === 'missing') rmSync(folder(), { recursive: true });
      expect(await nginx.complaintAbout(paths.nginxConf)).toBeNull();
      await run(host.config.nginx.binary, ['-p', `${dir}/`, '-e', `${dir}/error.log`, '-c', paths.nginxConf]);
      expect([...(await askMany(50))]).toEqual([['200 v1', 50]]);
      expect(existsSync(logFile())).toBe(false);
      if (there === 'missing') break;
      await nginx.quit();
      while ((await nginx.alive()) !== null) await realSleep(20, forever);
    }
    // Then the agent comes.
    await startAfresh();
    await askMany(200);
    await until(() => countedFor(1).requests >= 200);
    expect(mountsBelow(folder())).toEqual([folder()]);
  }, 60_000);
});
