import { afterEach, describe, expect, it, vi } from 'vitest';
import type { DesiredTenant } from '@berth/shared/domain/desired';
import { createGate } from '../../src/loop/gate.ts';
import { createLoop, type Loop } from '../../src/loop/loop.ts';
import { Heard, MemoryStatuses, quiet, WorldExecutor, WorldObserver } from '../support/fakes.ts';
import { desiredState, desiredTenant, serviceSpec, settings, webRoute } from '../support/specs.ts';
import { World } from '../support/world.ts';

interface Running {
  world: World;
  loop: Loop;
  heard: Heard;
  observer: WorldObserver;
  executor: WorldExecutor;
  want(tenant: DesiredTenant): void;
  stop(): Promise<void>;
}

const running: Running[] = [];
afterEach(async () => {
  await Promise.all(running.splice(0).map((each) => each.stop()));
});

const waitFor = (check: () => void): Promise<void> => vi.waitFor(check, { timeout: 3000, interval: 5 });

/** An agent that serves this tenant, baked. */
async function serving(tenant: DesiredTenant): Promise<Running> {
  const world = new World();
  const heard = new Heard();
  const observer = new WorldObserver(world);
  const executor = new WorldExecutor(world);
  const loop = createLoop({
    settings,
    observer,
    execute: executor.execute,
    statuses: new MemoryStatuses(world.statuses),
    reports: heard,
    gate: createGate(4),
    clock: { now: () => world.now },
    failpoint: () => undefined,
    log: quiet,
    desired: desiredState([tenant]),
    mode: 'apply',
    sweepMs: 60_000,
  });
  const stopping = new AbortController();
  const done = loop.run(stopping.signal);
  let revision = 1;
  const one: Running = {
    world,
    loop,
    heard,
    observer,
    executor,
    want(next) {
      revision += 1;
      loop.desire(desiredState([next], { revision }), ['acme']);
    },
    async stop() {
      executor.letGo();
      stopping.abort(new Error('over'));
      await done;
    },
  };
  running.push(one);
  await waitFor(() => expect(heard.last('acme')?.live).toBe(1));
  world.now += 100_000;
  observer.call();
  await waitFor(() => expect(heard.last('acme')?.phase).toBe('settled'));
  world.log = [];
  return one;
}

const [first, second] = [desiredTenant('acme', 1), desiredTenant('acme', 2, { release: 2 })];

const irreversible: DesiredTenant = {
  ...second,
  spec: {
    ...second.spec,
    release: { service: 'web', command: ['migrate'], timeoutMs: 1000, irreversible: true },
  },
};

describe('a generation that is taken back', () => {
  it('after it failed by itself leaves a settled tenant, nothing of it and no failure', async () => {
    const one = await serving(first);
    one.world.unhealthy.add('acme 2');
    one.want(second);
    await waitFor(() => expect(one.heard.last('acme')?.phase).toBe('failed'));
    one.want(first);
    await waitFor(() =>
      expect(one.heard.last('acme')).toMatchObject({ phase: 'settled', generation: 1, problem: null }),
    );
    expect(one.world.statuses.get('acme')).toMatchObject({ live: 1, failure: null, move: { kind: 'idle' } });
    expect([...one.world.containers.values()].map((each) => each.generation)).toEqual([1, 1]);
    expect(one.world.log.filter((line) => line.includes('-g1-'))).toEqual([]);
  });

  it('while it is made is given up at once, with a keeper that it had replaced put back', async () => {
    const keeping = (generation: number): DesiredTenant =>
      desiredTenant('acme', generation, {
        services: [
          serviceSpec('db', {
            strategy: 'in-place',
            volumes: [{ volume: 'data', target: '/data', readOnly: false }],
            environment: { V: `${generation}` },
          }),
          serviceSpec('web', { route: webRoute }),
        ],
      });
    const one = await serving(keeping(1));
    one.executor.held.add('containers.probe');
    one.want(keeping(2));
    await waitFor(() => expect(one.world.log).toContain('start a1-acme-g2-db-1'));
    one.want(keeping(1));
    one.executor.held.clear();
    await waitFor(() => expect(one.heard.last('acme')).toMatchObject({ phase: 'settled', problem: null }));
    await waitFor(() =>
      expect([...one.world.containers.values()].map((each) => `${each.name} ${each.state}`)).toEqual([
        'a1-acme-g1-db-1 running',
        'a1-acme-g1-web-1 running',
      ]),
    );
    expect(one.world.log.filter((line) => line.includes('web'))).toEqual([]);
    expect(one.heard.kinds('acme')).not.toContain('tenant.failed');
  });

  it('while it bakes has the old containers serve again and tells why', async () => {
    const one = await serving(first);
    const ids = [...one.world.containers.keys()];
    one.want(second);
    await waitFor(() => expect(one.heard.last('acme')).toMatchObject({ live: 2, phase: 'baking' }));
    one.want(first);
    await waitFor(() => expect(one.heard.last('acme')).toMatchObject({ live: 1, phase: 'settled' }));
    await waitFor(() => expect([...one.world.containers.keys()]).toEqual(ids));
    expect(one.world.routedGenerations('acme')).toEqual([1]);
    const told = one.heard.events.find((event) => event.kind === 'tenant.returned');
    expect(told?.message).toBe('Release 2 was taken back. Now generation 1 serves again.');
    expect(told?.details).toMatchObject({ problem: { code: 'withdrawn' } });
  });
});

describe('a generation whose release command is irreversible', () => {
  it('leaves the old one serving when it fails before the switch, and says that the command has run', async () => {
    const one = await serving(first);
    one.world.unhealthy.add('acme 2');
    one.want(irreversible);
    await waitFor(() => expect(one.heard.last('acme')?.phase).toBe('failed'));
    expect(one.world.routedGenerations('acme')).toEqual([1]);
    expect(one.heard.last('acme')?.problem?.message).toContain(
      'The release command of release 2 has run already and is irreversible',
    );
  });

  it('stays routed when it cannot be verified, and has failed, until it is taken back', async () => {
    const one = await serving(first);
    one.world.unverifiable.add('acme 2');
    one.want(irreversible);
    await waitFor(() => expect(one.heard.last('acme')).toMatchObject({ live: 2, phase: 'failed' }));
    const { problem, retryAt } = one.heard.last('acme') ?? {};
    expect(problem).toMatchObject({ code: 'verify_failed' });
    expect(problem?.message).toContain(
      'Not returned: the release command of release 2 is marked irreversible',
    );
    expect(retryAt).toBeNull();
    expect(one.heard.kinds('acme').filter((kind) => kind === 'tenant.failed')).toHaveLength(1);
    expect(one.world.routedGenerations('acme')).toEqual([2]);
    one.want(first);
    await waitFor(() => expect(one.heard.last('acme')).toMatchObject({ live: 1, phase: 'settled' }));
    expect(one.world.routedGenerations('acme')).toEqual([1]);
  });

  it('that stayed lets the old one go when its bake is over, and has not settled', async () => {
    const one = await serving(first);
    one.world.unverifiable.add('acme 2');
    one.want(irreversible);
    await waitFor(() => expect(one.heard.last('acme')).toMatchObject({ live: 2, phase: 'failed' }));
    const before = one.heard.kinds('acme').filter((kind) => kind === 'tenant.settled').length;
    one.world.now += 100_000;
    one.observer.call();
    await waitFor(() =>
      expect([...one.world.containers.values()].every((each) => each.generation === 2)).toBe(true),
    );
    expect(one.heard.last('acme')).toMatchObject({ live: 2, phase: 'failed' });
    expect(one.heard.kinds('acme').filter((kind) => kind === 'tenant.settled')).toHaveLength(before);
  });

  it('returns as ever where its command is not marked', async () => {
    const one = await serving(first);
    one.world.unverifiable.add('acme 2');
    const { release } = irreversible.spec;
    if (release === undefined) throw new Error('no release command');
    const { irreversible: _mark, ...plain } = release;
    one.want({ ...irreversible, spec: { ...irreversible.spec, release: plain } });
    await waitFor(() => expect(one.heard.kinds('acme')).toContain('tenant.returned'));
    expect(one.world.routedGenerations('acme')).toEqual([1]);
  });
});
