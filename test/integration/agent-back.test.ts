import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { realSleep } from '@berth/agent/system/clock';
import { releaseKeyOf, type DesiredTenant } from '@berth/shared/domain/desired';
import type { TenantSpec } from '@berth/shared/domain/spec';
import { serviceSpec } from '../fakes/service-spec.ts';
import { ask } from '../support/load.ts';
import { agentAlone, type Alone } from './support/alone.ts';
import { createTestHost, type TestHost } from './support/host.ts';
import { webImage } from './support/images.ts';

let host: TestHost;
let agent: Alone;
let image: string;

beforeAll(async () => {
  // Seven tenants, each with a network of its own.
  host = await createTestHost({ tenantPrefix: 28 });
  image = await webImage(host.docker);
  agent = agentAlone(host.config);
  await agent.start();
});
afterAll(async () => {
  await agent?.kill();
  await host?.close();
});

interface Version {
  release?: string;
  irreversible?: boolean;
  bakeMs?: number;
  /** Ends its web server after so many seconds. */
  crash?: string;
  generation?: number;
}

/** A web server that answers its number, and beside it a keeper of marks that outlives the colours. */
function tenantOf(tenant: string, release: number, version: Version = {}): DesiredTenant {
  const { bakeMs = 60_000, crash = '', irreversible = false } = version;
  const limits = { memoryBytes: 32 * 1024 * 1024, cpus: 0.5, pids: 50 };
  const reservation = { memoryBytes: 4 * 1024 * 1024, cpus: 0.01 };
  const common = { image, limits, reservation, stopGraceMs: 1_000, init: true, drainMs: 3_000 };
  const marks = serviceSpec('marks', {
    ...common,
    command: ['sleep', '100000'],
    strategy: 'in-place',
    volumes: [{ volume: 'marks', target: '/data', readOnly: false }],
  });
  const serve = 'if [ -n "$CRASH" ]; then serve & sleep $CRASH; exit 1; fi; exec serve';
  const web = serviceSpec('web', {
    ...common,
    command: ['sh', '-c', serve],
    environment: { VERSION: `${release}`, CRASH: crash },
    tmpfs: [{ target: '/tmp' }],
    route: { port: 8080, path: '/', health: '/' },
  });
  const command: TenantSpec['release'] =
    version.release === undefined
      ? undefined
      : {
          service: 'marks',
          command: ['sh', '-c', version.release],
          timeoutMs: 60_000,
          ...(irreversible ? { irreversible } : {}),
        };
  return {
    tenant,
    app: 'shop',
    release,
    generation: version.generation ?? release,
    state: 'running',
    domains: [`${tenant}.test`],
    spec: {
      services: [marks, web],
      volumes: ['marks'],
      bakeMs,
      ...(command === undefined ? {} : { release: command }),
    },
  };
}

const settled = (tenant: string, generation: number) =>
  agent.until(
    `settles in ${generation}`,
    tenant,
    (each) => each.live === generation && each.phase === 'settled',
  );
const baking = (tenant: string, generation: number) =>
  agent.until(`bakes ${generation}`, tenant, (each) => each.live === generation && each.phase === 'baking');
const answer = async (tenant: string): Promise<string> => {
  const { listenAddress: address, httpPort: port } = host.config.nginx;
  return (await ask({ address, port, domain: `${tenant}.test` })).body;
};
const nameOf = (tenant: string, generation: number, rest: string): string =>
  `${host.config.agent}-${tenant}-g${generation}-${rest}`;

interface Seen {
  id: string;
  name: string;
  state: string;
}
async function containersOf(tenant: string): Promise<Seen[]> {
  const label = [`berth.agent=${host.config.agent}`, `berth.tenant=${tenant}`];
  const found = await host.docker.listContainers({ all: true, filters: { label } });
  return found.map((each) => ({ id: each.Id, name: each.Names[0]?.slice(1) ?? '', state: each.State }));
}
const webOf = async (tenant: string, generation: number): Promise<Seen | undefined> =>
  (await containersOf(tenant)).find((each) => each.name === nameOf(tenant, generation, 'web-1'));

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const signal = AbortSignal.timeout(30_000);
  while (!(await holds().catch(() => false))) {
    if (signal.aborted) throw new Error(`waited in vain until ${what}`);
    await realSleep(30, new AbortController().signal);
  }
}

/** How often release commands began and ended, as they themselves wrote down. */
async function marksOf(tenant: string): Promise<{ began: number; ended: number }> {
  const { output } = await host.system.docker.exec(nameOf(tenant, 1, 'marks-1'), ['cat', '/data/marks']);
  const count = (word: string): number => output.split('\n').filter((line) => line.trim() === word).length;
  return { began: count('began'), ended: count('ended') };
}
const MIGRATE = 'echo began >> /data/marks; sleep 3; echo ended >> /data/marks';

async function killDuringRelease(tenant: string): Promise<DesiredTenant> {
  agent.desire(tenantOf(tenant, 1, { bakeMs: 0 }));
  await settled(tenant, 1);
  const next = tenantOf(tenant, 2, { release: MIGRATE, bakeMs: 0 });
  agent.desire(next);
  await until('the release command runs', async () => (await marksOf(tenant)).began === 1);
  await agent.kill();
  agent.forget();
  return next;
}

describe('an agent that is killed while a release command runs', () => {
  test('waits for the command when it is back, and does not run it again', async () => {
    await killDuringRelease('adopted');
    await agent.start();
    await settled('adopted', 2);
    expect(await marksOf('adopted')).toEqual({ began: 1, ended: 1 });
    expect(await answer('adopted')).toBe('2');
  });

  test.each([
    ['succeeded', 1],
    ['run-again', 2],
  ] as const)('whose container has gone asks an operator, and obeys: %s', async (choice, times) => {
    const tenant = `asked-${choice}`;
    const next = await killDuringRelease(tenant);
    await host.docker.getContainer(nameOf(tenant, 2, 'release')).remove({ force: true });
    await agent.start();
    const report = await agent.until('asks', tenant, (each) => each.phase === 'blocked');
    expect(report).toMatchObject({ live: 1, retryAt: null, problem: { code: 'release_outcome_unknown' } });
    expect(report.problem?.message).toContain(`berth tenant release-outcome ${tenant} --run-again`);
    expect(report.problem?.releaseKey).toBe(releaseKeyOf(next));
    expect(await answer(tenant)).toBe('1');
    expect((await marksOf(tenant)).began).toBe(1);

    agent.desire({ ...next, decision: { key: report.problem?.releaseKey ?? '', choice } });
    await settled(tenant, 2);
    expect((await marksOf(tenant)).began).toBe(times);
    expect(await answer(tenant)).toBe('2');
  });
});

describe('a rollout that takes a generation back', () => {
  test('within its bake has the old containers serve again, the very same ones', async () => {
    const first = tenantOf('quick', 1);
    agent.desire(first);
    await baking('quick', 1);
    const before = await webOf('quick', 1);
    agent.desire(tenantOf('quick', 2, { release: 'echo began >> /data/marks' }));
    await baking('quick', 2);
    await until('the old colour has stopped', async () => (await webOf('quick', 1))?.state === 'exited');
    expect(await answer('quick')).toBe('2');

    agent.forget();
    agent.desire(first);
    const report = await settled('quick', 1);
    expect(report.problem).toBeNull();
    expect(await answer('quick')).toBe('1');
    expect((await webOf('quick', 1))?.id).toBe(before?.id);
    const [returned] = agent.events('quick').filter((each) => each.kind === 'tenant.returned');
    expect(returned?.message).toBe('Release 2 was taken back. Now generation 1 serves again.');
    await until('nothing of it is left', async () => (await webOf('quick', 2)) === undefined);

    // The release goes out once more, as a new generation; its command has run.
    agent.desire(tenantOf('quick', 2, { release: 'echo began >> /data/marks', generation: 3 }));
    await baking('quick', 3);
    expect(await answer('quick')).toBe('2');
    expect((await marksOf('quick')).began).toBe(1);
  });

  test('after its bake makes the earlier generation anew, though its number is smaller', async () => {
    const first = tenantOf('late', 1, { bakeMs: 0 });
    agent.desire(first);
    await settled('late', 1);
    const before = await webOf('late', 1);
    agent.desire(tenantOf('late', 2, { bakeMs: 0 }));
    await settled('late', 2);
    await until('the old colour is gone', async () => (await webOf('late', 1)) === undefined);

    agent.desire(first);
    await settled('late', 1);
    expect(await answer('late')).toBe('1');
    const after = await webOf('late', 1);
    expect(after?.state).toBe('running');
    expect(after?.id).not.toBe(before?.id);
    await until('nothing of it is left', async () => (await containersOf('late')).length === 2);
  });

  test('while its release command runs stops the command and restarts nothing', async () => {
    const first = tenantOf('early', 1, { bakeMs: 0 });
    agent.desire(first);
    await settled('early', 1);
    const before = await containersOf('early');
    agent.desire(tenantOf('early', 2, { release: MIGRATE, bakeMs: 0 }));
    await until('the release command runs', async () => (await marksOf('early')).began === 1);
    agent.forget();
    agent.desire(first);
    await settled('early', 1);
    await until('its container is gone', async () => (await containersOf('early')).length === 2);
    expect((await containersOf('early')).map((each) => each.id).sort()).toEqual(
      before.map((each) => each.id).sort(),
    );
    expect(await answer('early')).toBe('1');
    expect(await marksOf('early')).toEqual({ began: 1, ended: 0 });
  });
});

test('a generation that fails in its bake stays where its release command is irreversible, until it is taken back', async () => {
  const first = tenantOf('onward', 1);
  agent.desire(first);
  await baking('onward', 1);
  agent.desire(tenantOf('onward', 2, { release: 'true', irreversible: true, crash: '4' }));
  const report = await agent.until('fails', 'onward', (each) => each.phase === 'failed');
  expect(report).toMatchObject({ live: 2, retryAt: null, problem: { code: 'crash_loop', service: 'web' } });
  expect(report.problem?.message).toContain(
    'Not returned: the release command of release 2 is marked irreversible',
  );
  await until('it serves on', async () => (await answer('onward')) === '2');
  expect(agent.events('onward').map((each) => each.kind)).not.toContain('tenant.returned');

  agent.desire(first);
  await agent.until('is back', 'onward', (each) => each.live === 1 && each.phase === 'settled');
  expect(await answer('onward')).toBe('1');
});
