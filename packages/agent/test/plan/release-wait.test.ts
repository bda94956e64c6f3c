import { describe, expect, it } from 'vitest';
import type { DesiredState, DesiredTenant } from '@berth/shared/domain/desired';
import type { Failure } from '@berth/shared/domain/status';
import { titleOf } from '@berth/shared/domain/step';
import { desiredState, desiredTenant } from '../support/specs.ts';
import { World } from '../support/world.ts';

const first = desiredTenant('acme', 1);
const second: DesiredTenant = {
  ...desiredTenant('acme', 2, { release: 7 }),
  spec: { ...first.spec, release: { service: 'web', command: ['migrate'], timeoutMs: 1000 } },
};
const third: DesiredTenant = {
  ...desiredTenant('acme', 3, { release: 8 }),
  spec: { ...first.spec, release: { service: 'web', command: ['migrate', 'more'], timeoutMs: 1000 } },
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

  it('a newer generation waits for it, is made when it has succeeded, and runs its own command', () => {
    const { world, command } = migrating();
    const steps = stepsOf(world, of(third));
    expect(steps).toMatchObject([{ kind: 'release.run', generation: 2, before: 'change' }]);
    expect(steps.map(titleOf)).toEqual(['the change waits for the release command of release 7']);
    for (let look = 0; look < 3; look += 1) world.cycle(of(third));
    expect(world.log).toEqual([]);
    expect(stateOf(world, command)).toBe('running');
    world.endRelease(command, 0);
    world.releaseFate = 'succeeds';
    for (let look = 0; look < 4; look += 1) world.cycle(of(third));
    expect(world.statuses.get('acme')).toMatchObject({ live: 3, failure: null });
    expect(world.statuses.get('acme')?.released.map((each) => each.outcome)).toEqual([
      'succeeded',
      'succeeded',
    ]);
    expect(world.log.filter((line) => line.includes('stop') && line.includes('release'))).toEqual([]);
  });

  it('a newer generation of the same release waits for it, and does not run it again', () => {
    const { world, command } = migrating();
    const again: DesiredTenant = { ...second, generation: 3 };
    world.cycle(of(again));
    expect(stateOf(world, command)).toBe('running');
    world.endRelease(command, 0);
    world.releaseFate = 'succeeds';
    for (let look = 0; look < 4; look += 1) world.cycle(of(again));
    expect(world.statuses.get('acme')).toMatchObject({ live: 3, failure: null });
    expect([...world.releases.values()]).toEqual([1]);
  });

  it('a newer generation is made also when it failed', () => {
    const { world, command } = migrating();
    world.cycle(of(third));
    world.endRelease(command, 1);
    world.releaseFate = 'succeeds';
    for (let look = 0; look < 4; look += 1) world.cycle(of(third));
    expect(world.statuses.get('acme')).toMatchObject({ live: 3, failure: null });
    expect(world.statuses.get('acme')?.released.map((each) => each.outcome)).toEqual(['failed', 'succeeded']);
  });

  it('its own generation waits for it when Docker could not be asked for a while', () => {
    const { world, command } = migrating();
    const status = world.statuses.get('acme');
    if (status === undefined) throw new Error('no status');
    const failure: Failure = {
      generation: 2,
      problem: {
        code: 'docker_unavailable',
        message: 'x',
        step: 'release.run',
        service: null,
        logTail: [],
        at: 0,
      },
      attempts: 1,
      retryAt: world.now + 5_000,
    };
    const known = status.known.filter((each) => each.generation === 1);
    world.statuses.set('acme', { ...status, move: { kind: 'idle' }, known, failure });
    for (let look = 0; look < 3; look += 1) world.cycle(of(second));
    expect(stateOf(world, command)).toBe('running');
    world.endRelease(command, 0);
    world.now += 5_000;
    for (let look = 0; look < 4; look += 1) world.cycle(of(second));
    expect(world.statuses.get('acme')).toMatchObject({ live: 2, failure: null });
    expect([...world.releases.values()]).toEqual([1]);
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
