import { describe, expect, it } from 'vitest';
import type { DesiredState, DesiredTenant } from '@berth/shared/domain/desired';
import { titleOf } from '@berth/shared/domain/step';
import { desiredState, desiredTenant } from '../support/specs.ts';
import { World } from '../support/world.ts';

const first = desiredTenant('acme', 1);
const second: DesiredTenant = {
  ...desiredTenant('acme', 2, { release: 7 }),
  spec: { ...first.spec, release: { service: 'web', command: ['migrate'], timeoutMs: 1000 } },
};
const paused: DesiredTenant = { ...second, state: 'paused' };

let revision = 0;
const of = (tenant: DesiredTenant): DesiredState => desiredState([tenant], { revision: (revision += 1) });
const removal = (): DesiredState =>
  desiredState([], {
    revision: (revision += 1),
    tombstones: { acme: { tenant: 'acme', generation: 3, state: 'confirmed' } },
  });

/** The release command of the second generation runs, with the first one serving. */
function migrating(): { world: World; command: string } {
  const world = new World();
  for (let round = 0; round < 6; round += 1) {
    world.cycle(of(first));
    world.now += 100_000;
  }
  world.releaseFate = 'hangs';
  world.cycle(of(second));
  world.log = [];
  const command = [...world.containers.values()].find((each) => each.role === 'release')?.name ?? '';
  expect(stateOf(world, command)).toBe('running');
  return { world, command };
}
const stateOf = (world: World, name: string) =>
  [...world.containers.values()].find((each) => each.name === name)?.state;
const stepsOf = (world: World, desired: DesiredState) =>
  world.plan(desired).tenants.flatMap((each) => each.steps);

describe('while a release command runs', () => {
  it.each([
    ['pause', () => of(paused)],
    ['removal', removal],
  ])('a %s waits for it, says so, and touches nothing', (before, wanted) => {
    const { world, command } = migrating();
    const steps = stepsOf(world, wanted());
    expect(steps).toMatchObject([{ kind: 'release.run', before }]);
    expect(steps.map(titleOf)).toEqual([`the ${before} waits for the release command of release 7`]);
    for (let look = 0; look < 3; look += 1) world.cycle(wanted());
    expect(world.log).toEqual([]);
    expect(stateOf(world, command)).toBe('running');
  });

  it('a pause takes hold once it has succeeded, and it is not run again after the pause', () => {
    const { world, command } = migrating();
    world.cycle(of(paused));
    world.endRelease(command, 0);
    world.releaseFate = 'succeeds';
    for (let look = 0; look < 3; look += 1) world.cycle(of(paused));
    expect([...world.containers.values()].filter((each) => each.state === 'running')).toEqual([]);
    expect(world.statuses.get('acme')?.released).toMatchObject([{ outcome: 'succeeded' }]);
    for (let look = 0; look < 6; look += 1) world.cycle(of(second));
    expect(world.statuses.get('acme')).toMatchObject({ live: 2, failure: null });
    expect([...world.releases.values()]).toEqual([1]);
  });

  it('a pause takes hold also when it failed, and that is not forgotten', () => {
    const { world, command } = migrating();
    world.endRelease(command, 1);
    for (let look = 0; look < 3; look += 1) world.cycle(of(paused));
    expect([...world.containers.values()].filter((each) => each.state === 'running')).toEqual([]);
    expect(world.statuses.get('acme')?.released).toMatchObject([{ outcome: 'failed' }]);
  });

  it('a removal goes on once it has ended', () => {
    const { world, command } = migrating();
    world.cycle(removal());
    world.endRelease(command, 0);
    for (let look = 0; look < 3; look += 1) world.cycle(removal());
    expect(world.containers.size).toBe(0);
    expect(world.networks.size).toBe(0);
  });

  it('waits also where nobody wrote down that it runs: a start that was given up may still have happened', () => {
    const { world, command } = migrating();
    const status = world.statuses.get('acme');
    if (status === undefined) throw new Error('no status');
    world.statuses.set('acme', {
      ...status,
      released: status.released.map((each) => ({ ...each, outcome: 'failed' })),
    });
    world.cycle(of(paused));
    expect(stateOf(world, command)).toBe('running');
  });
});
