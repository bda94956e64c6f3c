import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ContainerPlan, StepOutcome } from '@berth/shared/domain/step';
import type { TenantNetwork } from '@berth/shared/domain/network';
import { busyboxImage } from './support/images.ts';
import { createTestHost, type TestHost } from './support/host.ts';

const MIB = 1024 * 1024;
let host: TestHost;
let image: string;
let network: TenantNetwork;
let address = 2;

beforeAll(async () => {
  host = await createTestHost();
  image = await busyboxImage(host.docker);
  await host.executor.ensureNetworkBase();
  network = host.network(0, 'acme');
  expect(await host.run({ kind: 'network.ensure', tenant: 'acme', network })).toEqual({ kind: 'ok' });
});
afterAll(async () => {
  await host.close();
});

function plan(spec: Partial<ContainerPlan['spec']> = {}, more: Partial<ContainerPlan> = {}): ContainerPlan {
  address += 1;
  return { ...host.plan({ tenant: 'acme', network, host: address, image, spec }), ...more };
}

const start = (...containers: ContainerPlan[]): Promise<StepOutcome> =>
  host.run({ kind: 'containers.start', tenant: 'acme', generation: 1, containers });
const probe = (...containers: ContainerPlan[]): Promise<StepOutcome> =>
  host.run({ kind: 'containers.probe', tenant: 'acme', generation: 1, containers });

function problemOf(outcome: StepOutcome) {
  if (outcome.kind !== 'failed') throw new Error(`the step succeeded: ${outcome.note ?? ''}`);
  return outcome.problem;
}

describe('containers.start', () => {
  test('starts a hardened container with its fixed address, limits, labels and no published port', async () => {
    const one = plan({ labels: { team: 'blue', 'berth.agent': 'stolen', 'berth.virtual': '1.2.3.4' } });
    expect(await start(one)).toEqual({ kind: 'ok' });
    const about = await host.docker.getContainer(one.name).inspect();
    expect(about.State.Running).toBe(true);
    expect(about.HostConfig).toMatchObject({
      ReadonlyRootfs: true,
      Privileged: false,
      CapDrop: ['ALL'],
      CapAdd: null,
      SecurityOpt: ['no-new-privileges:true'],
      Memory: 64 * MIB,
      MemorySwap: 64 * MIB,
      CpuQuota: 100_000,
      PidsLimit: 64,
      PidMode: '',
      IpcMode: 'private',
      Binds: null,
      RestartPolicy: { Name: 'unless-stopped' },
    });
    expect(about.NetworkSettings.Ports).toEqual({});
    expect(about.NetworkSettings.Networks[network.name]?.IPAddress).toBe(one.address);
    expect(about.Config.Labels).toMatchObject({ team: 'blue', 'berth.agent': host.config.agent });
    expect(about.Config.Labels['berth.virtual']).toBeUndefined();
    const status = await statusOf(one.name);
    expect(status).toContain('NoNewPrivs:\t1');
    expect(status).toContain('CapBnd:\t0000000000000000');
  });

  test('changes nothing when it is run again, and starts again what has stopped', async () => {
    const one = plan();
    await start(one);
    const before = await host.docker.getContainer(one.name).inspect();
    expect(await start(one)).toEqual({ kind: 'ok' });
    expect((await host.docker.getContainer(one.name).inspect()).State.StartedAt).toBe(before.State.StartedAt);
    await host.docker.getContainer(one.name).stop({ t: 0 });
    expect(await start(one)).toEqual({ kind: 'ok' });
    const after = await host.docker.getContainer(one.name).inspect();
    expect(after.Id).toBe(before.Id);
    expect(after.State.Running).toBe(true);
  });

  test('reports a conflict when the name carries another specification', async () => {
    const one = plan();
    await start(one);
    const outcome = await start({ ...one, specHash: 'another' });
    expect(problemOf(outcome)).toMatchObject({ code: 'conflict', service: 'web' });
    expect((await host.docker.getContainer(one.name).inspect()).State.Running).toBe(true);
  });

  test('leaves a foreign container of the same name alone', async () => {
    const one = plan();
    const foreign = await host.docker.createContainer({
      name: one.name,
      Image: image,
      Cmd: ['sleep', '1000'],
      Labels: { 'berth.tenant': 'acme' },
      HostConfig: { NetworkMode: 'none' },
    });
    try {
      await foreign.start();
      expect(problemOf(await start(one)).code).toBe('conflict');
      const ref = { id: foreign.id, name: one.name, service: 'web', graceMs: 0 };
      const of = { tenant: 'acme', containers: [ref], why: 'test' };
      expect(problemOf(await host.run({ kind: 'containers.stop', ...of })).code).toBe('conflict');
      expect(problemOf(await host.run({ kind: 'containers.remove', ...of })).code).toBe('conflict');
      expect(problemOf(await host.run({ kind: 'containers.resume', ...of })).code).toBe('conflict');
      expect((await foreign.inspect()).State.Running).toBe(true);
      const seen = await host.observer.observe(AbortSignal.timeout(5_000));
      expect(seen.containers.map((each) => each.id)).not.toContain(foreign.id);
    } finally {
      await foreign.remove({ force: true });
    }
  });

  test('leaves another tenant’s container alone, too', async () => {
    const one = plan();
    await start(one);
    const ref = await host.refOf(one);
    const outcome = await host.run({
      kind: 'containers.remove',
      tenant: 'globex',
      containers: [ref],
      why: 'test',
    });
    expect(problemOf(outcome).code).toBe('conflict');
    expect((await host.docker.getContainer(one.name).inspect()).State.Running).toBe(true);
  });

  test('says what cannot be started', async () => {
    const problem = problemOf(await start(plan({ command: ['/no/such/program'], init: false })));
    expect(problem.code).toBe('container_failed');
    expect(problem.message).toMatch(/web could not be started.*no such file/i);
    const unknown = problemOf(await start(plan({ image: 'berth-test/nothing:1' })));
    expect(unknown).toMatchObject({ code: 'image_not_found', service: 'web' });
  });

  test('writes the services of the generation into /etc/hosts', async () => {
    const one = plan({}, { hosts: { db: ['198.19.16.40', '198.19.16.41'] } });
    await start(one);
    const text = await execIn(one.name, ['cat', '/etc/hosts']);
    expect(text).toMatch(/198\.19\.16\.40\s+db/);
    expect(text).toMatch(/198\.19\.16\.41\s+db/);
  });

  test('gives the compatible profile its capabilities and a writable root, and no new privileges', async () => {
    const one = plan({ profile: 'compatible' });
    await start(one);
    const about = await host.docker.getContainer(one.name).inspect();
    expect(about.HostConfig.ReadonlyRootfs).toBe(false);
    expect(about.HostConfig.CapAdd).toContain('CHOWN');
    expect(about.HostConfig.CapAdd).not.toContain('NET_RAW');
    expect(about.HostConfig.SecurityOpt).toEqual(['no-new-privileges:true']);
  });
});

describe('volumes', () => {
  test('are made once, carry labels, keep their data through a removal, and never collide between tenants', async () => {
    const step = { kind: 'volume.ensure' as const, tenant: 'acme', volumes: ['data'] };
    expect(await host.run(step)).toEqual({ kind: 'ok' });
    expect(await host.run(step)).toEqual({ kind: 'ok' });
    const spec = { volumes: [{ volume: 'data', target: '/data', readOnly: false }] };
    const first = plan(spec);
    await start(first);
    await execIn(first.name, ['touch', '/data/kept']);
    const of = { tenant: 'acme', containers: [await host.refOf(first)], why: 'test' };
    expect(await host.run({ kind: 'containers.remove', ...of })).toEqual({ kind: 'ok' });
    expect(await host.run({ kind: 'containers.remove', ...of })).toEqual({ kind: 'ok' });
    const second = plan(spec);
    await start(second);
    expect(await execIn(second.name, ['ls', '/data'])).toContain('kept');
  });

  test('of that name that are not ours are never mounted', async () => {
    const name = `${host.config.agent}-acme_theirs`;
    await host.docker.createVolume({ Name: name });
    try {
      const outcome = await host.run({ kind: 'volume.ensure', tenant: 'acme', volumes: ['theirs'] });
      expect(problemOf(outcome).code).toBe('conflict');
    } finally {
      await host.docker.getVolume(name).remove();
    }
  });
});

describe('containers.probe', () => {
  const serve = [
    'sh',
    '-c',
    'sleep 0.4; mkdir -p /tmp/www; echo hi > /tmp/www/index.html; exec httpd -f -p 8080 -h /tmp/www',
  ];
  const route = { port: 8080, path: '/', health: '/' };

  test('waits for the port and the health path of a routed service', async () => {
    const one = plan({ command: serve, route });
    await start(one);
    expect(await probe(one)).toEqual({ kind: 'ok' });
  });

  test('runs the service’s own health check, often at first, and then asks its port', async () => {
    const healthcheck = {
      test: ['CMD-SHELL', 'test -f /tmp/www/index.html'],
      intervalMs: 30_000,
      timeoutMs: 5_000,
      retries: 3,
      startPeriodMs: 0,
      startIntervalMs: 1_000,
    };
    const one = plan({ command: serve, route, healthcheck });
    await start(one);
    const began = Date.now();
    expect(await probe(one)).toEqual({ kind: 'ok' });
    expect(Date.now() - began).toBeLessThan(20_000);
  });

  test('fails with the check’s words and the last ten log lines when health never comes', async () => {
    const healthcheck = {
      test: ['CMD', 'sh', '-c', 'echo database is away; exit 3'],
      intervalMs: 100,
      timeoutMs: 1_000,
      retries: 2,
      startPeriodMs: 0,
      startIntervalMs: 200,
    };
    const command = [
      'sh',
      '-c',
      'for i in 1 2 3 4 5 6 7 8 9 10 11 12; do echo line $i; done; printf "\\033[31mred\\033[0m\\n"; exec sleep 1000',
    ];
    const one = plan({ command, healthcheck });
    await start(one);
    const problem = problemOf(await probe(one));
    expect(problem.code).toBe('health_failed');
    expect(problem.message).toMatch(/not healthy within 5 s.*exit code 3: database is away/);
    expect(problem.logTail).toHaveLength(10);
    expect(problem.logTail.at(-1)).toBe('red');
    expect(problem.logTail[0]).toBe('line 4');
  });

  test('fails at once when the container ends, with its exit code and last words', async () => {
    const one = plan({ command: ['sh', '-c', 'sleep 0.3; echo no licence; exit 7'], restart: 'no', route });
    await start(one);
    const began = Date.now();
    const problem = problemOf(await probe(one));
    expect(problem).toMatchObject({ code: 'container_failed', service: 'web', logTail: ['no licence'] });
    expect(problem.message).toContain('exit code 7');
    expect(Date.now() - began).toBeLessThan(20_000);
  });

  test('fails at once when Docker has to restart the container', async () => {
    const one = plan({ command: ['sh', '-c', 'sleep 0.2; exit 1'], route });
    await start(one);
    expect(problemOf(await probe(one)).code).toBe('container_failed');
  });

  test('names a container that ran out of memory', async () => {
    const hog = ['sh', '-c', 'sleep 0.3; dd if=/dev/zero of=/dev/null bs=64M count=1'];
    const one = plan({
      command: hog,
      init: false,
      restart: 'no',
      limits: { memoryBytes: 8 * MIB, cpus: 1, pids: 16 },
    });
    await start(one);
    expect(problemOf(await probe(one)).message).toContain('ran out of memory (its limit is 8 MiB)');
  });

  test('takes a job that ends with 0 for healthy and waits for it', async () => {
    const good = plan({ command: ['sh', '-c', 'sleep 0.5'], restart: 'no' });
    const bad = plan({ command: ['sh', '-c', 'sleep 0.2; exit 4'], restart: 'no' });
    await start(good, bad);
    expect(await probe(good)).toEqual({ kind: 'ok' });
    expect((await host.docker.getContainer(good.name).inspect()).State.Status).toBe('exited');
    expect(problemOf(await probe(bad)).message).toContain('exit code 4');
  });

  test('asks a service without check and route only to stay up', async () => {
    const one = plan();
    await start(one);
    const began = Date.now();
    expect(await probe(one)).toEqual({ kind: 'ok' });
    expect(Date.now() - began).toBeGreaterThanOrEqual(240);
  });
});

describe('stop, resume, settle, remove', () => {
  test('a stopped container comes back under the same id and settles', async () => {
    const healthcheck = {
      test: ['CMD', 'true'],
      intervalMs: 60_000,
      timeoutMs: 2_000,
      retries: 1,
      startPeriodMs: 0,
      startIntervalMs: 1_000,
    };
    const one = plan({ healthcheck });
    await start(one);
    const of = { tenant: 'acme', containers: [await host.refOf(one)] };
    expect(await host.run({ kind: 'containers.stop', ...of, why: 'test' })).toEqual({ kind: 'ok' });
    expect((await host.docker.getContainer(one.name).inspect()).State.Status).toBe('exited');
    expect(await host.run({ kind: 'containers.stop', ...of, why: 'test' })).toEqual({ kind: 'ok' });
    const early = await host.run({ kind: 'containers.settle', ...of, timeoutMs: 200 });
    expect(problemOf(early).code).toBe('health_failed');
    expect(await host.run({ kind: 'containers.resume', ...of })).toEqual({ kind: 'ok' });
    expect(await host.run({ kind: 'containers.settle', ...of, timeoutMs: 5_000 })).toEqual({ kind: 'ok' });
    expect(await host.run({ kind: 'containers.remove', ...of, why: 'test' })).toEqual({ kind: 'ok' });
    expect(problemOf(await host.run({ kind: 'containers.resume', ...of })).code).toBe('container_failed');
  });

  test('stop uses the service’s own signal and waits for its grace', async () => {
    const command = ['sh', '-c', 'trap "echo got usr1; exit 0" USR1; while :; do sleep 0.1; done'];
    const one = plan({ command, init: false, stopSignal: 'SIGUSR1', stopGraceMs: 10_000, restart: 'always' });
    await start(one);
    await probe(one);
    const began = Date.now();
    const containers = [await host.refOf(one)];
    await host.run({ kind: 'containers.stop', tenant: 'acme', containers, why: 'test' });
    expect(Date.now() - began).toBeLessThan(9_500);
    const about = await host.docker.getContainer(one.name).inspect();
    expect(about.State.ExitCode).toBe(0);
  });

  test('an aborted step rejects with the reason and can be run again', async () => {
    const controller = new AbortController();
    const never = plan({ route: { port: 9, path: '/', health: '/' } });
    await start(never);
    const step = { kind: 'containers.probe' as const, tenant: 'acme', generation: 1, containers: [never] };
    const running = host.executor.execute(step, controller.signal);
    controller.abort(new Error('the agent is ending'));
    await expect(running).rejects.toThrow('the agent is ending');
  });
});

async function execIn(name: string, argv: string[]): Promise<string> {
  const { output } = await host.system.docker.exec(name, argv);
  return output;
}

async function statusOf(name: string): Promise<string> {
  return await execIn(name, ['cat', '/proc/self/status']);
}
