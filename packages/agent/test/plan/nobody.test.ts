import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { DesiredState, DesiredTenant } from '@berth/shared/domain/desired';
import { makeServices, services } from '../support/shapes.ts';
import { plan } from '../../src/plan/plan.ts';
import { desiredState, desiredTenant, serviceSpec, settings, webRoute } from '../support/specs.ts';
import { World } from '../support/world.ts';

let revision = 0;
const of = (tenant: DesiredTenant): DesiredState => desiredState([tenant], { revision: (revision += 1) });

function settle(world: World, desired: DesiredState): void {
  for (let round = 0; round < 8; round += 1) {
    world.cycle(desired);
    world.now += 400_000;
  }
}

/** Addresses that a route leads to and no container has. */
function deserted(world: World): string[] {
  const held = new Set([...world.containers.values()].map((each) => each.address));
  return [...world.routes.values()].flatMap((target) =>
    target.kind === 'containers'
      ? target.endpoints.map((each) => each.address).filter((address) => !held.has(address))
      : [],
  );
}

const routedContainers = (world: World) =>
  [...world.containers.values()].filter((each) =>
    [...world.routes.values()].some(
      (target) =>
        target.kind === 'containers' && target.endpoints.some(({ address }) => address === each.address),
    ),
  );

/** Release 1 with two copies, and release 2, whose command runs. */
const web = (generation: number): DesiredTenant => {
  const made = desiredTenant('acme', generation, {
    release: generation,
    services: [serviceSpec('web', { route: webRoute, replicas: 2 })],
  });
  if (generation === 1) return made;
  return {
    ...made,
    spec: { ...made.spec, release: { service: 'web', command: ['migrate'], timeoutMs: 1000 } },
  };
};

describe('a route that leads to a container which somebody removed', () => {
  it('leads to those that are left at once, and to none without any, though a release command runs', () => {
    const world = new World();
    settle(world, of(web(1)));
    world.releaseFate = 'hangs';
    world.cycle(of(web(2)));
    const [first, second] = routedContainers(world);
    if (first === undefined || second === undefined) throw new Error('nothing is routed');
    world.vanish(first.name);
    expect(world.plan(of(web(2))).tenants[0]?.steps[0]).toMatchObject({
      kind: 'route.switch',
      entries: [{ target: { kind: 'containers', endpoints: [{ address: second.address }] } }],
    });
    world.cycle(of(web(2)));
    expect(routedContainers(world).map((each) => each.name)).toEqual([second.name]);
    expect(deserted(world)).toEqual([]);
    world.vanish(second.name);
    world.cycle(of(web(2)));
    expect(world.routes.size).toBe(0);
    const command = [...world.containers.values()].find((each) => each.role === 'release')?.name ?? '';
    world.endRelease(command, 0);
    world.releaseFate = 'succeeds';
    settle(world, of(web(2)));
    expect(world.statuses.get('acme')?.live).toBe(2);
    expect(routedContainers(world)).toHaveLength(2);
  });

  it('is mended before it is brought back, and leads there again when that is healthy', () => {
    const world = new World();
    settle(world, of(web(1)));
    for (const each of routedContainers(world)) world.vanish(each.name);
    const steps = world.plan(of(web(1))).tenants[0]?.steps ?? [];
    expect(steps[0]).toMatchObject({ kind: 'route.switch', entries: [{ target: { kind: 'none' } }] });
    expect(steps.at(-1)).toMatchObject({ kind: 'route.switch', generation: 1 });
    settle(world, of(web(1)));
    expect(routedContainers(world)).toHaveLength(2);
  });

  it('has what is under way make way, unless routes changed while containers were listed', () => {
    const world = new World();
    settle(world, of(web(1)));
    const input = {
      desired: of(web(1)),
      mode: 'apply' as const,
      statuses: world.statuses,
      reserved: [],
      busy: new Set(['acme']),
      settings,
      now: world.now,
    };
    expect(plan({ ...input, observed: world.observed() }).deserted).toEqual([]);
    for (const each of routedContainers(world)) world.vanish(each.name);
    expect(plan({ ...input, observed: world.observed() }).deserted).toEqual(['acme']);
    const moving = { ...world.observed(), look: 'moving' as const };
    expect(plan({ ...input, observed: moving }).deserted).toEqual([]);
    const steps = plan({ ...input, busy: new Set(), observed: moving }).tenants[0]?.steps ?? [];
    expect(steps.filter((each) => each.kind === 'route.switch' && each.because === 'gone')).toEqual([]);
  });

  it('is mended at the next look, at whatever point of whatever move it was', () => {
    fc.assert(
      fc.property(
        services,
        services,
        fc.nat(40),
        fc.array(fc.nat(20), { minLength: 1, maxLength: 3 }),
        fc.boolean(),
        (before, after, budget, picks, loses) => {
          const world = new World();
          const one = desiredTenant('acme', 1, { services: makeServices(before, 1, 0) });
          const two = desiredTenant('acme', 2, { release: 2, services: makeServices(after, 2, 1) });
          settle(world, of(one));
          world.cycle(of(two), budget);
          const routed = routedContainers(world);
          for (const pick of picks) world.vanish(routed[pick % Math.max(1, routed.length)]?.name ?? '');
          if (loses) world.statuses.delete('acme');
          const { died } = world.cycle(of(two));
          expect(died).toBe(false);
          expect(deserted(world)).toEqual([]);
          settle(world, of(two));
          expect(deserted(world)).toEqual([]);
          // Whose container was taken away between its switch and its verification has failed.
          const { live, failure } = world.statuses.get('acme') ?? {};
          expect([live, failure?.problem.code]).toEqual(
            failure === null ? [2, undefined] : [1, 'container_failed'],
          );
          expect(routedContainers(world).length).toBeGreaterThan(0);
        },
      ),
      { numRuns: 400 },
    );
  });
});
