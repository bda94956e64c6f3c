import { afterEach, describe, expect, it, vi } from 'vitest';
import type { DesiredState } from '@berth/shared/domain/desired';
import { BerthError } from '@berth/shared/domain/errors';
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
  statuses: MemoryStatuses;
  stop(): Promise<void>;
}

const running: Running[] = [];

function start(desired: DesiredState, world = new World(), mode: 'apply' | 'observe' = 'apply'): Running {
  const heard = new Heard();
  const observer = new WorldObserver(world);
  const executor = new WorldExecutor(world);
  const statuses = new MemoryStatuses(world.statuses);
  const loop = createLoop({
    settings,
    observer,
    execute: executor.execute,
    statuses,
    reports: heard,
    gate: createGate(4),
    clock: { now: () => world.now },
    failpoint: () => undefined,
    log: quiet,
    desired,
    mode,
    sweepMs: 60_000,
  });
  const stopping = new AbortController();
  const done = loop.run(stopping.signal);
  const one: Running = {
    world,
    loop,
    heard,
    observer,
    executor,
    statuses,
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

describe('the loop', () => {
  it('brings two new tenants up side by side with one reload of Nginx for both', async () => {
    const { world, heard, executor } = start(
      desiredState([desiredTenant('acme', 1), desiredTenant('globex', 1)]),
    );
    await waitFor(() => {
      expect(heard.last('acme')?.phase).toBe('baking');
      expect(heard.last('globex')?.phase).toBe('baking');
    });
    expect(world.routedGenerations('acme')).toEqual([1]);
    expect(executor.ran.filter((step) => step.kind === 'ingress.apply')).toHaveLength(1);
    expect(heard.kinds('acme')).toEqual(['tenant.live']);
  });

  it('reports the steps that are left, running and done while it works', async () => {
    const one = start(desiredState([desiredTenant('acme', 1)]));
    one.executor.held.add('containers.probe');
    await waitFor(() => {
      const states = one.heard.last('acme')?.steps.map((step) => step.state) ?? [];
      expect(states).toContain('done');
      expect(states).toContain('running');
      expect(states).toContain('todo');
    });
    expect(one.heard.last('acme')?.phase).toBe('moving');
    one.executor.letGo();
    await waitFor(() => expect(one.heard.last('acme')?.live).toBe(1));
  });

  it('drops the work for a generation that was overtaken and goes on to the newest', async () => {
    const one = start(desiredState([desiredTenant('acme', 1)]));
    one.executor.held.add('containers.probe');
    await waitFor(() => expect(one.executor.ran.some((step) => step.kind === 'containers.probe')).toBe(true));
    one.executor.held.clear();
    one.loop.desire(desiredState([desiredTenant('acme', 2)], { revision: 2 }), ['acme']);
    await waitFor(() => expect(one.heard.last('acme')?.live).toBe(2));
    expect(one.world.routedGenerations('acme')).toEqual([2]);
    expect([...one.world.containers.values()].every((container) => container.generation === 2)).toBe(true);
  });

  it('leaves the old colour serving when the new one never becomes healthy, and says why', async () => {
    const one = start(desiredState([desiredTenant('acme', 1)]));
    await waitFor(() => expect(one.heard.last('acme')?.live).toBe(1));
    one.world.unhealthy.add('acme 2');
    one.loop.desire(desiredState([desiredTenant('acme', 2)], { revision: 2 }), ['acme']);
    await waitFor(() => expect(one.heard.last('acme')?.phase).toBe('failed'));
    const report = one.heard.last('acme');
    expect(report?.live).toBe(1);
    expect(report?.problem?.code).toBe('health_failed');
    expect(report?.retryAt).toBeNull();
    expect(one.world.routedGenerations('acme')).toEqual([1]);
    expect(one.heard.kinds('acme')).toContain('tenant.failed');
  });

  it('returns to the old colour when the new one cannot be verified through Nginx', async () => {
    const one = start(desiredState([desiredTenant('acme', 1)]));
    await waitFor(() => expect(one.heard.last('acme')?.live).toBe(1));
    one.world.unverifiable.add('acme 2');
    one.loop.desire(desiredState([desiredTenant('acme', 2)], { revision: 2 }), ['acme']);
    await waitFor(() => expect(one.heard.kinds('acme')).toContain('tenant.returned'));
    await waitFor(() => expect(one.heard.last('acme')?.phase).toBe('failed'));
    expect(one.world.routedGenerations('acme')).toEqual([1]);
    await waitFor(() =>
      expect([...one.world.containers.values()].map((each) => each.generation)).toEqual([1, 1]),
    );
  });

  it('returns when the new colour ends by itself while it bakes', async () => {
    const one = start(desiredState([desiredTenant('acme', 1)]));
    await waitFor(() => expect(one.heard.last('acme')?.live).toBe(1));
    one.loop.desire(desiredState([desiredTenant('acme', 2)], { revision: 2 }), ['acme']);
    await waitFor(() => expect(one.heard.last('acme')?.live).toBe(2));
    await waitFor(() =>
      expect([...one.world.containers.values()].filter((each) => each.state === 'running')).toHaveLength(2),
    );
    const web = [...one.world.containers.values()].find((each) => each.name === 'a1-acme-g2-web-1');
    if (web === undefined) throw new Error('no web of generation 2');
    web.deaths = 1;
    one.observer.call();
    await waitFor(() => expect(one.heard.kinds('acme')).toContain('tenant.returned'));
    await waitFor(() => expect(one.heard.last('acme')).toMatchObject({ live: 1, phase: 'failed' }));
    expect(one.heard.last('acme')?.problem).toMatchObject({
      code: 'crash_loop',
      service: 'web',
      logTail: ['last words'],
    });
  });

  it('does nothing at all before a desired state was ever received', async () => {
    const world = new World();
    const first = start(desiredState([desiredTenant('acme', 1)]), world);
    await waitFor(() => expect(first.heard.last('acme')?.live).toBe(1));
    await first.stop();
    running.length = 0;
    world.statuses.clear();
    const second = start({ epoch: 0, revision: 0, tenants: {}, tombstones: {} }, world);
    await waitFor(() => expect(second.heard.events.map((event) => event.kind)).toContain('host.orphan'));
    expect(second.executor.ran).toEqual([]);
    expect(world.routedGenerations('acme')).toEqual([1]);
  });

  it('leaves a tenant alone that nobody desires and nobody entombed', async () => {
    const one = start(desiredState([desiredTenant('acme', 1), desiredTenant('globex', 1)]));
    await waitFor(() => expect(one.heard.last('globex')?.live).toBe(1));
    const before = one.executor.ran.length;
    one.loop.desire(desiredState([desiredTenant('acme', 1)], { revision: 2 }), ['globex']);
    await waitFor(() => expect(one.heard.events.some((event) => event.kind === 'host.orphan')).toBe(true));
    expect(one.executor.ran.slice(before)).toEqual([]);
    expect(one.world.routedGenerations('globex')).toEqual([1]);
  });

  it('asks before it removes a tenant and then leaves its volumes', async () => {
    const one = start(desiredState([desiredTenant('acme', 1)]));
    await waitFor(() => expect(one.heard.last('acme')?.live).toBe(1));
    const grave = (state: 'proposed' | 'confirmed', revision: number) =>
      desiredState([], { revision, tombstones: { acme: { tenant: 'acme', generation: 1, state } } });
    one.loop.desire(grave('proposed', 2), ['acme']);
    await waitFor(() =>
      expect(one.heard.removals[0]?.containers).toEqual(['a1-acme-g1-web-1', 'a1-acme-g1-worker-1']),
    );
    expect(one.world.routedGenerations('acme')).toEqual([1]);
    one.loop.desire(grave('confirmed', 3), ['acme']);
    await waitFor(() => expect(one.heard.last('acme')?.phase).toBe('removed'));
    expect(one.world.containers.size).toBe(0);
    expect(one.world.networks.size).toBe(0);
  });

  it('only puts routes back while it may observe and nothing more', async () => {
    const world = new World();
    const first = start(desiredState([desiredTenant('acme', 1)]), world);
    await waitFor(() => expect(first.heard.last('acme')?.live).toBe(1));
    await first.stop();
    running.length = 0;
    world.routes.clear();
    const second = start(desiredState([desiredTenant('acme', 2)], { revision: 2 }), world, 'observe');
    await waitFor(() => expect(world.routedGenerations('acme')).toEqual([1]));
    expect(second.executor.ran.map((step) => step.kind)).toEqual(['route.switch']);
  });

  it('pauses behind the maintenance page and comes back', async () => {
    const one = start(desiredState([desiredTenant('acme', 1)]));
    await waitFor(() => expect(one.heard.last('acme')?.live).toBe(1));
    one.loop.desire(desiredState([desiredTenant('acme', 1, { state: 'paused' })], { revision: 2 }), ['acme']);
    await waitFor(() => expect(one.heard.kinds('acme')).toContain('tenant.paused'));
    expect([...one.world.routes.values()]).toEqual([{ kind: 'maintenance' }]);
    expect([...one.world.containers.values()].every((each) => each.state === 'exited')).toBe(true);
    one.loop.desire(desiredState([desiredTenant('acme', 1)], { revision: 3 }), ['acme']);
    await waitFor(() => expect(one.heard.kinds('acme').at(-1)).toBe('tenant.live'));
    expect(one.world.routedGenerations('acme')).toEqual([1]);
  });

  it('says that Docker is down, and goes on when it answers again', async () => {
    const one = start(desiredState([desiredTenant('acme', 1)]));
    await waitFor(() => expect(one.heard.last('acme')?.live).toBe(1));
    one.observer.failing = new BerthError('docker_unavailable', 'no answer');
    one.observer.call();
    await waitFor(() => expect(one.heard.hosts.at(-1)?.docker).toBe('down'));
    one.observer.failing = null;
    await waitFor(() => expect(one.heard.events.at(-1)?.kind).toBe('host.docker_up'));
    expect(one.world.routedGenerations('acme')).toEqual([1]);
  });

  it('does not begin a move that it cannot write down', async () => {
    const one = start(desiredState([desiredTenant('acme', 1)]));
    await waitFor(() => expect(one.heard.last('acme')?.live).toBe(1));
    one.statuses.full = new BerthError('state_unwritable', 'no space left on /var/lib/berth');
    const before = one.executor.ran.length;
    one.loop.desire(desiredState([desiredTenant('acme', 2)], { revision: 2 }), ['acme']);
    await waitFor(() => expect(one.heard.last('acme')?.problem?.code).toBe('state_unwritable'));
    expect(one.executor.ran.length).toBe(before);
    expect(one.world.routedGenerations('acme')).toEqual([1]);
    one.statuses.full = null;
    one.world.now += 2_000;
    one.observer.call();
    await waitFor(() => expect(one.heard.last('acme')?.live).toBe(2));
  });

  it('previews a change without doing it', async () => {
    const one = start(desiredState([desiredTenant('acme', 1)]));
    await waitFor(() => expect(one.heard.last('acme')?.live).toBe(1));
    await waitFor(() => expect(one.heard.last('acme')?.phase).toBe('baking'));
    const before = one.executor.ran.length;
    const views = await one.loop.preview(
      desiredTenant('acme', 2, {
        services: [serviceSpec('web', { route: webRoute, environment: { A: '1' } })],
      }),
      new AbortController().signal,
    );
    expect(views.map((view) => view.kind)).toEqual([
      'preflight',
      'image.ensure',
      'containers.start',
      'containers.probe',
      'route.switch',
      'route.verify',
      'drain',
      'containers.stop',
    ]);
    expect(one.executor.ran.length).toBe(before);
  });
});
