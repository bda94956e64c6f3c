import { fork } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { once } from 'node:events';
import { request } from 'node:http';
import { setTimeout as wait } from 'node:timers/promises';
import { z } from 'zod';
import type { TenantStatus } from '@berth/shared/domain/status';
import type { Step } from '@berth/shared/domain/step';
import { createExecutor } from '@berth/agent/execute/executor';
import { createGate } from '@berth/agent/loop/gate';
import { createLoop } from '@berth/agent/loop/loop';
import { createObserver } from '@berth/agent/observe/observer';
import { realSleep } from '@berth/agent/system/clock';
import { createSystem } from '@berth/agent/system/system';
import { median, now, rounded, runBench } from './support/bench.ts';
import { bigHost } from './support/big-host.ts';
import { freePort } from './support/places.ts';

/**
 * A host with 1,000 containers on which nothing is to be done, looked at by the agent's own observer, planner and loop;
 * then containers that die. Docker is played by a process that answers as slowly as the real one; Nginx is real.
 * Usage: npm run bench -- sweep [--json] [--quick]
 */
const CONTAINERS = 1000;
const SWEEP_MS = 1000;

const Count = z.object({ at: z.number(), watched: z.number(), list: z.number(), inspect: z.number() });
/** The arguments of the event. */
const Answer = z.tuple([Count]).rest(z.unknown());

await runBench(async (bench) => {
  const home = await mkdtemp(join(tmpdir(), 'berth-bench-'));
  bench.defer('state', () => rm(home, { recursive: true, force: true }));
  const socket = join(home, 'docker.sock');
  const docker = fork(new URL('./support/fake-docker.ts', import.meta.url), [socket], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  bench.defer('Docker’s double', () => {
    docker.kill('SIGKILL');
  });
  const heard = async (): Promise<z.infer<typeof Count>> => {
    const message: unknown = await once(docker, 'message', { signal: bench.signal });
    return Answer.parse(message)[0];
  };
  const tell = async (order: object): Promise<z.infer<typeof Count>> => {
    const answer = heard();
    docker.send(order);
    return await answer;
  };
  await heard();

  const taken = new Set<number>();
  const settings = {
    agent: 'sweep',
    // Nothing of these reaches the kernel: no step of a tenant is run here.
    virtualCidr: '198.18.0.0/16',
    tenantCidr: '198.19.0.0/16',
    tenantPrefix: 26,
    bridgePrefix: 'bs-',
  };
  const host = bigHost(CONTAINERS / 2, settings);
  await tell({ kind: 'hold', containers: host.containers, networks: host.networks });
  const floorCpuMs = await bareLists(socket, bench.quick ? 10 : 40);
  const system = createSystem({
    ...settings,
    stateDir: join(home, 'agent'),
    dockerSocket: socket,
    nginx: {
      binary: 'nginx',
      listenAddress: '127.0.0.1',
      httpPort: await freePort(8500, taken),
      internalPort: await freePort(17_900, taken),
      start: 'agent',
    },
    reserve: { memoryBytes: 0, diskBytes: 0 },
  });
  const clock = { now: (): number => Date.now() };
  const executor = createExecutor({ system, clock, sleep: realSleep });
  const single = new Map(
    host.plans.flatMap(({ virtual, address, spec }) =>
      virtual === undefined || spec.route === undefined
        ? []
        : [[virtual, { address, port: spec.route.port }]],
    ),
  );
  system.routes.remember({ present: true, single, spread: new Map() });
  await executor.execute({ kind: 'ingress.apply', sites: host.sites }, bench.signal);
  bench.defer('Nginx', () => system.nginx.quit());

  const stopping = new AbortController();
  const signal = AbortSignal.any([bench.signal, stopping.signal]);
  const statuses = new Map<string, TenantStatus>();
  let onStep: ((step: Step) => void) | null = null;
  let looks = 0;
  let onLook: (() => void) | null = null;
  const observer = createObserver({
    system,
    clock,
    sleep: realSleep,
    restoreBase: () => Promise.resolve('whole'),
  });
  const silent = { info: () => {}, warn: () => {}, error: () => {} };
  const loop = createLoop({
    settings,
    observer: {
      ...observer,
      observe: async (until) => {
        const seen = await observer.observe(until);
        looks += 1;
        onLook?.();
        return seen;
      },
    },
    execute: async (step) => {
      if (step.kind === 'containers.start') {
        onStep?.(step);
        const name = step.containers[0]?.name;
        const index = host.plans.findIndex((each) => each.name === name);
        await tell({ kind: 'revive', id: host.containers[index]?.Id ?? '' });
      }
      return { kind: 'ok' };
    },
    statuses: {
      all: () => statuses,
      save: (status) => {
        statuses.set(status.tenant, status);
        return Promise.resolve();
      },
      remove: (tenant) => {
        statuses.delete(tenant);
        return Promise.resolve();
      },
    },
    reports: { tenant: () => {}, removal: () => {}, event: () => {}, host: () => {} },
    gate: createGate(8),
    clock,
    failpoint: () => undefined,
    log: silent,
    desired: host.desired,
    mode: 'apply',
    sweepMs: SWEEP_MS,
  });
  const running = loop.run(signal);
  bench.defer('loop', async () => {
    stopping.abort(new Error('done'));
    await running.catch(() => undefined);
    system.close();
  });

  // Woken by the look itself: a timer of ours would be counted as the agent's work.
  const untilLooks = async (wanted: number): Promise<void> => {
    await new Promise<void>((resolve, reject) => {
      signal.addEventListener('abort', () => reject(new Error('stopped')), { once: true });
      onLook = () => {
        if (looks >= wanted) resolve();
      };
    });
    onLook = null;
  };
  await untilLooks(10);
  bench.say('at rest');
  const sweeps = bench.quick ? 10 : 40;
  const began = { looks, count: await tell({ kind: 'count' }), cpu: process.cpuUsage() };
  await untilLooks(began.looks + sweeps);
  const spent = process.cpuUsage(began.cpu);
  const ended = await tell({ kind: 'count' });
  const done = looks - began.looks;

  const noticed: number[] = [];
  for (let death = 0; death < (bench.quick ? 3 : 10); death += 1) {
    await wait(300 + 70 * death, undefined, { signal });
    const id = host.containers[death * 90]?.Id ?? '';
    const seen = new Promise<number>((resolve) => (onStep = () => resolve(now())));
    const died = await tell({ kind: 'die', id });
    const at = await Promise.race([seen, wait(10_000, null, { signal })]);
    if (at === null) throw new Error('the death was not noticed within 10 s');
    noticed.push(at - died.at);
    await wait(300, undefined, { signal });
  }
  const result = {
    listCalls: rounded((ended.list - began.count.list) / done),
    inspectCalls: rounded((ended.inspect - began.count.inspect) / done),
    cpuMs: rounded((spent.user + spent.system) / 1000 / done, 1),
    floorCpuMs: rounded(floorCpuMs, 1),
    deadNoticedMs: rounded(median(noticed), 0),
    deadNoticedMaxMs: rounded(Math.max(...noticed), 0),
    containers: CONTAINERS,
    sweeps: done,
  };
  return {
    result,
    rows: [
      { what: `list calls per sweep of ${CONTAINERS} containers`, value: result.listCalls, budget: '1' },
      { what: 'inspect calls per sweep', value: result.inspectCalls, budget: '0' },
      { what: 'CPU per sweep, ms', value: result.cpuMs, floor: result.floorCpuMs, budget: '<= 15' },
      { what: 'a dead container is noticed after, ms', value: result.deadNoticedMs, budget: '<= 1000' },
      { what: '  the slowest of them, ms', value: result.deadNoticedMaxMs },
    ],
  };
});

/** The floor: asking for the list and parsing it, and nothing else. CPU milliseconds each. */
async function bareLists(socketPath: string, rounds: number): Promise<number> {
  const list = (): Promise<unknown> =>
    new Promise((resolve, reject) => {
      const req = request({ socketPath, path: '/containers/json?all=1' }, (response) => {
        const parts: Buffer[] = [];
        response.on('data', (part: Buffer) => parts.push(part));
        response.on('end', () => resolve(JSON.parse(Buffer.concat(parts).toString('utf8'))));
        response.on('error', reject);
      });
      req.on('error', reject);
      req.end();
    });
  for (let warm = 0; warm < 5; warm += 1) await list();
  const began = process.cpuUsage();
  for (let round = 0; round < rounds; round += 1) {
    await list();
    await wait(100);
  }
  const spent = process.cpuUsage(began);
  return (spent.user + spent.system) / 1000 / rounds;
}
