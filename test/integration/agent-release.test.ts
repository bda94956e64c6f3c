import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { realSleep } from '@berth/agent/system/clock';
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
function problemOf(outcome: StepOutcome) {
  if (outcome.kind !== 'failed') throw new Error(`the step succeeded: ${outcome.note ?? ''}`);
  return outcome.problem;
}

describe('release.create and release.run', () => {
  const of = { tenant: 'acme', generation: 1, key: 'k' };
  const create = (container: ContainerPlan): Promise<StepOutcome> =>
    host.run({ kind: 'release.create', tenant: 'acme', generation: 1, container });
  const run = (container: ContainerPlan, timeoutMs = 20_000): Promise<StepOutcome> =>
    host.run({ kind: 'release.run', ...of, container, timeoutMs });
  const release = async (container: ContainerPlan, timeoutMs?: number): Promise<StepOutcome> => {
    expect(await create(container)).toEqual({ kind: 'ok' });
    return run(container, timeoutMs);
  };

  test('runs once, however often it is asked', async () => {
    await host.run({ kind: 'volume.ensure', tenant: 'acme', volumes: ['marks'] });
    const spec = {
      command: ['sh', '-c', 'echo ran >> /data/marks; sleep 0.5; echo done >> /data/marks'],
      volumes: [{ volume: 'marks', target: '/data', readOnly: false }],
    };
    const one = plan(spec, { role: 'release' });
    // The first is cut off while the command runs, as by a crash of the agent.
    const crash = new AbortController();
    await create(one);
    const step = { kind: 'release.run' as const, ...of, container: one, timeoutMs: 20_000 };
    const cut = host.executor.execute(step, crash.signal);
    await until(async () => (await host.docker.getContainer(one.name).inspect()).State.Running);
    crash.abort(new Error('crash'));
    await expect(cut).rejects.toThrow('crash');
    expect(await release(one)).toEqual({ kind: 'ok', note: 'it had run already' });
    expect(await release(one)).toMatchObject({ kind: 'ok', note: 'it had run already' });
    const reader = plan({ volumes: spec.volumes });
    await start(reader);
    expect((await execIn(reader.name, ['cat', '/data/marks'])).match(/ran/g)).toHaveLength(1);
  });

  test('believes the exit code of one that failed before', async () => {
    const one = plan({ command: ['sh', '-c', 'echo column exists; exit 2'] }, { role: 'release' });
    const problem = problemOf(await release(one));
    expect(problem).toMatchObject({ code: 'release_command_failed', logTail: ['column exists'] });
    expect(problem.message).toContain('exit code 2');
    const began = (await host.docker.getContainer(one.name).inspect()).State.StartedAt;
    expect(problemOf(await release(one)).code).toBe('release_command_failed');
    expect((await host.docker.getContainer(one.name).inspect()).State.StartedAt).toBe(began);
  });

  test('stops one that does not end in time', async () => {
    const one = plan({ command: ['sleep', '1000'] }, { role: 'release' });
    const problem = problemOf(await release(one, 1_000));
    expect(problem.message).toContain('did not end within 1 s');
    expect((await host.docker.getContainer(one.name).inspect()).State.Running).toBe(false);
  });

  test('is not made anew where it is gone: nobody knows whether it ran', async () => {
    const one = plan({ command: ['true'] }, { role: 'release', release: 7 });
    const problem = problemOf(await run(one));
    expect(problem.code).toBe('release_outcome_unknown');
    expect(problem.message).toContain('release 7');
    expect(problem.message).toContain('berth tenant release-outcome acme --run-again');
    await expect(host.docker.getContainer(one.name).inspect()).rejects.toThrow();
  });

  test('is unknown when somebody removed its container by force, and is not made anew', async () => {
    const one = plan({ command: ['sleep', '1000'] }, { role: 'release', release: 7 });
    const ending = release(one);
    await until(async () => (await host.docker.getContainer(one.name).inspect()).State.Running);
    await host.docker.getContainer(one.name).remove({ force: true });
    const problem = problemOf(await ending);
    expect(problem.code).toBe('release_outcome_unknown');
    expect(problem.message).toContain('berth tenant release-outcome acme --succeeded');
    await expect(host.docker.getContainer(one.name).inspect()).rejects.toThrow();
  });

  test('has failed when it was killed and its container is there to tell', async () => {
    const one = plan({ command: ['sleep', '1000'] }, { role: 'release' });
    const ending = release(one);
    await until(async () => (await host.docker.getContainer(one.name).inspect()).State.Running);
    await host.docker.getContainer(one.name).kill();
    const problem = problemOf(await ending);
    expect(problem.code).toBe('release_command_failed');
    expect(problem.message).toContain('exit code 137');
  });

  test('has its time from when it was started, also when somebody else waits for it', async () => {
    const one = plan({ command: ['sleep', '1000'] }, { role: 'release' });
    await create(one);
    const gone = new AbortController();
    const step = { kind: 'release.run' as const, ...of, container: one, timeoutMs: 20_000 };
    const first = host.executor.execute(step, gone.signal);
    await until(async () => (await host.docker.getContainer(one.name).inspect()).State.Running);
    await realSleep(2_000, new AbortController().signal);
    gone.abort(new Error('crash'));
    await expect(first).rejects.toThrow('crash');
    const began = Date.now();
    expect(problemOf(await run(one, 2_500)).message).toContain('did not end within 3 s');
    // Half a second is left of its time; stopping it takes its grace.
    expect(Date.now() - began).toBeLessThan(2_500 + one.spec.stopGraceMs);
  });

  test('a migration that fails and prints its secrets tells of them nothing but their names', async () => {
    const environment = {
      DATABASE_URL: 'postgres://shop:tops3cret@db/shop',
      API_TOKEN: 'tok_12345678',
      MODE: 'production',
    };
    const command = ['sh', '-c', 'env | sort; echo "password tops3cret refused" >&2; exit 3'];
    const problem = problemOf(await release(plan({ command, environment }, { role: 'release' })));
    expect(JSON.stringify(problem)).not.toMatch(/tops3cret|tok_12345678/);
    expect(problem.logTail).toEqual(
      expect.arrayContaining([
        'DATABASE_URL=postgres://shop:[redacted DATABASE_URL]@db/shop',
        'API_TOKEN=[redacted API_TOKEN]',
        'MODE=production',
        'password [redacted DATABASE_URL] refused',
      ]),
    );
  });
});

describe('image.ensure and preflight', () => {
  const ensure = (name: string, pullPolicy: 'missing' | 'always' | 'never'): Promise<StepOutcome> =>
    host.run({ kind: 'image.ensure', tenant: 'acme', generation: 1, image: name, pullPolicy });

  test('finds what is here without asking a registry', async () => {
    expect(await ensure(image, 'missing')).toEqual({ kind: 'ok', note: 'already here' });
  });

  test('tells an image that may not be pulled from a registry that cannot be reached', async () => {
    expect(problemOf(await ensure('berth-test/nothing:1', 'never')).code).toBe('image_not_found');
    const problem = problemOf(await ensure('127.0.0.1:9/nothing:1', 'missing'));
    expect(problem.code).toBe('registry_unreachable');
    expect(problem.message).toContain('127.0.0.1:9');
  });

  test('refuses more memory or disk than there is, with the numbers', async () => {
    const of = { kind: 'preflight' as const, tenant: 'acme', generation: 1 };
    expect(await host.run({ ...of, memoryBytes: MIB, diskBytes: MIB })).toEqual({ kind: 'ok' });
    const memory = problemOf(await host.run({ ...of, memoryBytes: 9e15, diskBytes: 0 }));
    expect(memory.code).toBe('memory_short');
    expect(memory.message).toMatch(/need \d+ MiB .* only \d+ MiB is available/);
    expect(problemOf(await host.run({ ...of, memoryBytes: 0, diskBytes: 9e15 })).code).toBe('disk_short');
  });
});

async function until(holds: () => Promise<boolean>): Promise<void> {
  const signal = AbortSignal.timeout(20_000);
  while (!(await holds().catch(() => false))) await realSleep(20, signal);
}

async function execIn(name: string, argv: string[]): Promise<string> {
  const { output } = await host.system.docker.exec(name, argv);
  return output;
}
