import { afterEach, describe, expect, it, vi } from 'vitest';
import type { DesiredState, DesiredTenant } from '@berth/shared/domain/desired';
import { createGate } from '../../src/loop/gate.ts';
import { createLoop, type Loop } from '../../src/loop/loop.ts';
import { Heard, MemoryStatuses, quiet, WorldExecutor, WorldObserver } from '../support/fakes.ts';
import { desiredState, desiredTenant, serviceSpec, settings, webRoute } from '../support/specs.ts';
import { World } from '../support/world.ts';

/** What a host does with what nobody it trusts has signed. Here that is whatever has no image of ours. */

const OURS = 'ours:';
const WHY = 'release 2 of shop is not signed by a key that this host accepts (ci-2026)';

interface Running {
  loop: Loop;
  heard: Heard;
  executor: WorldExecutor;
  stop(): Promise<void>;
}
const running: Running[] = [];

function start(desired: DesiredState, world: World, trusts: string = OURS): Running {
  const heard = new Heard();
  const executor = new WorldExecutor(world);
  const loop = createLoop({
    settings,
    observer: new WorldObserver(world),
    execute: executor.execute,
    statuses: new MemoryStatuses(world.statuses),
    reports: heard,
    gate: createGate(4),
    clock: { now: () => world.now },
    failpoint: () => undefined,
    log: quiet,
    desired,
    mode: 'apply',
    sweepMs: 60_000,
    vet: (entry) => (entry.spec.services.every((each) => each.image.startsWith(trusts)) ? null : WHY),
  });
  const stopping = new AbortController();
  const done = loop.run(stopping.signal);
  const one: Running = {
    loop,
    heard,
    executor,
    async stop() {
      stopping.abort(new Error('over'));
      await done;
    },
  };
  running.push(one);
  return one;
}

afterEach(async () => {
  await Promise.all(running.splice(0).map((each) => each.stop()));
});

const waitFor = (check: () => void): Promise<void> => vi.waitFor(check, { timeout: 3000, interval: 5 });

function tenant(generation: number, image: string, change: Partial<DesiredTenant> = {}): DesiredTenant {
  const services = [serviceSpec('web', { route: webRoute, image })];
  return desiredTenant('acme', generation, { services, ...change });
}

const one = (entry: DesiredTenant, revision: number): DesiredState => desiredState([entry], { revision });

async function served(world: World): Promise<Running> {
  const made = start(one(tenant(1, 'ours:1'), 1), world);
  await waitFor(() => expect(made.heard.last('acme')?.phase).toBe('baking'));
  made.executor.ran = [];
  return made;
}

describe('a release that nobody has signed', () => {
  it('never begins, has failed with its reason, and the old colour serves on', async () => {
    const world = new World();
    const { loop, heard, executor } = await served(world);
    loop.desire(one(tenant(2, 'evil:1', { release: 2 }), 2), ['acme']);
    await waitFor(() =>
      expect(heard.last('acme')).toMatchObject({ generation: 2, phase: 'failed', live: 1 }),
    );
    expect(heard.last('acme')?.problem).toMatchObject({
      code: 'release_not_signed',
      message: `${WHY}. Nothing of it was started.`,
      step: 'verify the signature',
    });
    expect(heard.kinds('acme')).toEqual(['tenant.live', 'tenant.failed']);
    expect(executor.ran).toEqual([]);
    expect(world.routedGenerations('acme')).toEqual([1]);

    // What is taken back is what serves.
    loop.desire(one(tenant(1, 'ours:1'), 3), ['acme']);
    await waitFor(() =>
      expect(heard.last('acme')).toMatchObject({ generation: 1, phase: 'baking', problem: null }),
    );
    // And one that is signed begins as any other.
    loop.desire(one(tenant(3, 'ours:2', { release: 3 }), 4), ['acme']);
    await waitFor(() =>
      expect(heard.last('acme')).toMatchObject({ generation: 3, live: 3, phase: 'baking' }),
    );
  });

  it('never begins for a tenant that is called like what every object has, whose signed ones serve', async () => {
    const named = (generation: number, image: string): DesiredState => {
      const services = [serviceSpec('web', { route: webRoute, image })];
      return desiredState([desiredTenant('constructor', generation, { services })], { revision: generation });
    };
    const world = new World();
    const { loop, heard, executor } = start(named(1, 'evil:1'), world);
    await waitFor(() => expect(heard.last('constructor')?.problem?.code).toBe('release_not_signed'));
    expect(executor.ran).toEqual([]);
    loop.desire(named(2, 'ours:1'), ['constructor']);
    await waitFor(() => expect(heard.last('constructor')).toMatchObject({ live: 2, phase: 'baking' }));
  });

  it('does not begin in the clothes of the generation that serves', async () => {
    const world = new World();
    const { loop, heard, executor } = await served(world);
    const before = [...world.containers.keys()];
    loop.desire(one(tenant(1, 'evil:1'), 2), ['acme']);
    await waitFor(() =>
      expect(heard.last('acme')).toMatchObject({
        generation: 1,
        live: 1,
        phase: 'failed',
        problem: { code: 'release_not_signed' },
      }),
    );
    // Not even where a container has to be made anew.
    for (const each of world.containers.values()) each.state = 'exited';
    world.containers.clear();
    loop.setMode('observe');
    loop.setMode('apply');
    await waitFor(() => expect(executor.ran.some((step) => step.kind === 'containers.start')).toBe(true));
    const images = executor.ran.flatMap((step) =>
      step.kind === 'containers.start' ? step.containers.map((each) => each.spec.image) : [],
    );
    expect(new Set(images)).toEqual(new Set(['ours:1']));
    expect(before).toHaveLength(1);
  });

  it('is told of a tenant of which nothing runs, and nothing is made for it', async () => {
    const world = new World();
    const { heard, executor, loop } = start(one(tenant(1, 'evil:1'), 1), world);
    await waitFor(() =>
      expect(heard.last('acme')).toMatchObject({ phase: 'failed', live: null, generation: 1 }),
    );
    expect(executor.ran.filter((step) => step.kind !== 'ingress.apply')).toEqual([]);
    expect(heard.hosts.flatMap((host) => host.orphans)).toEqual([]);
    const told = heard.tenants.length;
    loop.repeatReports();
    await waitFor(() => expect(heard.tenants.length).toBe(told + 1));
    loop.desire(one(tenant(2, 'evil:1'), 2), ['acme']);
    await waitFor(() => expect(heard.last('acme')).toMatchObject({ phase: 'failed', generation: 2 }));
    await expect(loop.preview(tenant(2, 'evil:1'), new AbortController().signal)).rejects.toThrow(WHY);
  });

  it('stops a move that is under way towards what was let in, and leaves what serves', async () => {
    const world = new World();
    const { loop, heard, executor } = await served(world);
    executor.held.add('containers.probe');
    loop.desire(one(tenant(2, 'ours:2', { release: 2 }), 2), ['acme']);
    await waitFor(() => expect(executor.ran.some((step) => step.kind === 'containers.probe')).toBe(true));
    loop.desire(one(tenant(3, 'evil:1', { release: 3 }), 3), ['acme']);
    executor.letGo();
    await waitFor(() =>
      expect(heard.last('acme')).toMatchObject({ generation: 3, live: 1, phase: 'failed' }),
    );
    await waitFor(() => expect([...world.containers.values()].map((each) => each.generation)).toEqual([1]));
    expect(world.routedGenerations('acme')).toEqual([1]);
  });

  it('may be paused, and comes back as what it was', async () => {
    const world = new World();
    const { loop, heard } = await served(world);
    loop.desire(one(tenant(2, 'evil:1', { release: 2, state: 'paused' }), 2), ['acme']);
    const states = (): string[] => [...world.containers.values()].map((each) => each.state);
    await waitFor(() => expect(states()).toEqual(['exited']));
    loop.desire(one(tenant(2, 'evil:1', { release: 2 }), 3), ['acme']);
    await waitFor(() => expect(states()).toEqual(['running']));
    expect(heard.last('acme')).toMatchObject({ generation: 2, phase: 'failed', live: 1 });
  });

  it('that runs already when its key is taken off the list goes on, also when its containers are lost; nothing new starts', async () => {
    const world = new World();
    const first = await served(world);
    await first.stop();
    running.splice(0);
    const { loop, heard, executor } = start(one(tenant(1, 'ours:1'), 1), world, 'theirs:');
    await waitFor(() => expect(heard.last('acme')).toMatchObject({ phase: 'baking', problem: null }));
    for (const each of world.containers.values()) each.state = 'exited';
    world.containers.clear();
    loop.setMode('observe');
    loop.setMode('apply');
    await waitFor(() => expect(executor.ran.some((step) => step.kind === 'containers.start')).toBe(true));
    loop.desire(one(tenant(2, 'ours:1'), 2), ['acme']);
    await waitFor(() =>
      expect(heard.last('acme')).toMatchObject({ generation: 2, phase: 'failed', live: 1 }),
    );
  });

  it('is left to run when nobody remembers how it began, and is not taken for an orphan', async () => {
    const world = new World();
    const first = await served(world);
    await first.stop();
    running.splice(0);
    world.statuses.clear();
    const { heard, executor } = start(one(tenant(1, 'ours:1'), 1), world, 'theirs:');
    await waitFor(() => expect(heard.last('acme')).toMatchObject({ phase: 'failed', generation: 1 }));
    expect(executor.ran).toEqual([]);
    expect(world.routedGenerations('acme')).toEqual([1]);
    expect(heard.hosts.flatMap((host) => host.orphans)).toEqual([]);
  });
});
