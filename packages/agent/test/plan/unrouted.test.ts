import { describe, expect, test } from 'vitest';
import type { DesiredState, DesiredTenant } from '@berth/shared/domain/desired';
import { desiredState, desiredTenant, serviceSpec, webRoute } from '../support/specs.ts';
import { World } from '../support/world.ts';

let revision = 0;
const of = (tenant: DesiredTenant): DesiredState => desiredState([tenant], { revision: (revision += 1) });

/** A generation with a service at each of these paths. */
const at = (generation: number, ...paths: string[]): DesiredTenant =>
  desiredTenant('acme', generation, {
    release: generation,
    services: paths.map((path, index) => serviceSpec(`web${index}`, { route: { ...webRoute, path } })),
  });

/** What each path leads to in the kernel, as far as Nginx knows the path. */
function kinds(world: World): Record<string, string> {
  return Object.fromEntries(
    (world.sites ?? []).map(({ path, virtual }) => [path, world.routes.get(virtual)?.kind ?? 'none']),
  );
}

/** Looks and does what is to be done, so often. */
function cycles(world: World, desired: DesiredState, count = 6): void {
  for (let round = 0; round < count; round += 1) world.cycle(desired);
}

describe('a path that the generation which serves does not route', () => {
  test('is nobody’s from the switch on, and the old generation’s again when it comes back', () => {
    const world = new World();
    cycles(world, of(at(1, '/')));
    world.now += 400_000;
    cycles(world, of(at(1, '/')));
    expect(kinds(world)).toEqual({ '/': 'containers' });
    cycles(world, of(at(2, '/api')));
    expect(kinds(world)).toEqual({ '/': 'unrouted', '/api': 'containers' });
    cycles(world, of(at(1, '/')));
    expect(kinds(world)['/']).toBe('containers');
  });

  test('is the other route’s once Nginx has forgotten it, where that one covers it', () => {
    const world = new World();
    cycles(world, of(at(1, '/', '/api')));
    world.now += 400_000;
    cycles(world, of(at(1, '/', '/api')));
    cycles(world, of(at(2, '/')));
    expect(kinds(world)).toEqual({ '/': 'containers', '/api': 'none' });
    world.now += 400_000;
    cycles(world, of(at(2, '/')));
    expect(kinds(world)).toEqual({ '/': 'containers' });
  });
});
