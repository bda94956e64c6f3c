import { describe, expect, it } from 'vitest';
import { titleOf } from '@berth/shared/domain/step';
import { desiredState, desiredTenant, serviceSpec, webRoute } from '../support/specs.ts';
import { World } from '../support/world.ts';

const ref = (version: number) => ({ name: 'KEY', version, id: '0123456789abcdef' });
const file = (version: number) => ({
  ...ref(version),
  target: '/run/secrets/KEY',
  uid: 0,
  gid: 0,
  mode: '0444',
});

/** A store that is replaced in place, a scheduler that must never run twice, and a web server; all with the secret. */
const tenant = (generation: number, version: number) =>
  desiredTenant('acme', generation, {
    services: [
      serviceSpec('store', {
        strategy: 'in-place',
        volumes: [{ volume: 'data', target: '/data', readOnly: false }],
        secrets: [file(version)],
      }),
      serviceSpec('web', { route: webRoute, secretEnv: { KEY: ref(version) } }),
      serviceSpec('clock', { strategy: 'recreate', secrets: [file(version)] }),
      serviceSpec('plain'),
    ],
  });

function stepsTo(world: World, generation: number, version: number, revision: number) {
  const made = world.plan(desiredState([tenant(generation, version)], { revision }));
  return made.tenants.flatMap((each) => each.steps);
}

describe('a new version of a secret', () => {
  it('is opened before anything is stopped or started for it', () => {
    const world = new World();
    for (let round = 0; round < 6; round += 1) {
      world.cycle(desiredState([tenant(1, 1)], { revision: 1 }));
      world.now += 100_000;
    }
    expect(stepsTo(world, 1, 1, 1)).toEqual([]);
    const kinds = stepsTo(world, 2, 2, 2).map((step) => step.kind);
    const opened = kinds.indexOf('secrets.open');
    expect(opened).toBeGreaterThanOrEqual(0);
    expect(kinds.slice(0, opened)).not.toContain('containers.stop');
    expect(kinds.slice(0, opened)).not.toContain('containers.start');
    expect(kinds.slice(opened)).toContain('containers.stop');
  });

  it('is opened for the containers that have secrets, and for no others', () => {
    const steps = stepsTo(new World(), 1, 1, 1).filter((step) => step.kind === 'secrets.open');
    expect(steps.map(titleOf)).toEqual(['open the secrets of store, web, clock']);
  });

  it('takes no step where no container has one', () => {
    const world = new World();
    const made = world.plan(desiredState([desiredTenant('acme', 1)], { revision: 1 }));
    expect(made.tenants.flatMap((each) => each.steps).map((step) => step.kind)).not.toContain('secrets.open');
  });
});
