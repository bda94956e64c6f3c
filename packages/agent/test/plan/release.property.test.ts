import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { releaseKeyOf, type DesiredTenant } from '@berth/shared/domain/desired';
import { newStatus } from '@berth/shared/domain/status';
import { desiredState, desiredTenant, serviceSpec, webRoute } from '../support/specs.ts';
import { World } from '../support/world.ts';

/** A generation of a release whose command is to run before it. */
function migrating(generation: number, release: number, more: Partial<DesiredTenant> = {}): DesiredTenant {
  const tenant = desiredTenant('acme', generation, { release, ...more });
  const command = { service: 'web', command: ['migrate'], timeoutMs: 1000 };
  return { ...tenant, spec: { ...tenant.spec, release: command } };
}

const keyOf = (tenant: DesiredTenant): string => releaseKeyOf(tenant) ?? '';
const runsOf = (world: World, tenant: DesiredTenant): number =>
  world.releases.get(`acme ${keyOf(tenant)}`) ?? 0;

let revision = 0;
function cycle(world: World, tenant: DesiredTenant, budget?: number): void {
  revision += 1;
  world.cycle(desiredState([tenant], { revision }), budget);
}
function converge(world: World, tenant: DesiredTenant): void {
  for (let round = 0; round < 8; round += 1) {
    cycle(world, tenant);
    // What is left of a failure is cleared away before it is tried again.
    cycle(world, tenant);
    world.now += 400_000;
  }
}
const statusOf = (world: World) => world.statuses.get('acme') ?? newStatus('acme');

/** One that died while the release command of `next` ran, with `first` serving. */
function died(first: DesiredTenant, next: DesiredTenant): World {
  const world = new World();
  converge(world, first);
  world.releaseFate = 'hangs';
  cycle(world, next);
  world.releaseFate = 'succeeds';
  expect(runsOf(world, next)).toBe(1);
  return world;
}

const acts = fc.array(
  fc.oneof(
    fc.record({ kind: fc.constant('release' as const), release: fc.integer({ min: 1, max: 3 }) }),
    fc.record({ kind: fc.constant('back' as const) }),
    fc.record({ kind: fc.constant('run' as const), budget: fc.nat(14) }),
    fc.record({ kind: fc.constant('bake' as const) }),
    fc.record({ kind: fc.constant('hang' as const) }),
    fc.record({ kind: fc.constant('lose' as const) }),
    fc.record({ kind: fc.constant('end' as const), code: fc.constantFrom(0, 0, 1) }),
  ),
  { maxLength: 20 },
);

describe('a release command', { timeout: 120_000 }, () => {
  it('never runs again once it has succeeded, back and forth, wherever the agent dies', () => {
    fc.assert(
      fc.property(acts, (story) => {
        const world = new World();
        const ended = new Set<string>();
        let generation = 1;
        let past: DesiredTenant[] = [];
        let wanted = migrating(1, 1);
        const check = (): void => {
          const counts = new Map(world.releases);
          for (const key of ended) expect(counts.get(key)).toBe(before.get(key));
          for (const { role, exitCode, generation: made } of world.containers.values()) {
            const tenant = [...past, wanted].find((each) => each.generation === made);
            if (role === 'release' && exitCode === 0 && tenant !== undefined)
              ended.add(`acme ${keyOf(tenant)}`);
          }
          before = counts;
        };
        let before = new Map<string, number>();
        for (const act of story) {
          if (act.kind === 'release') {
            past.push(wanted);
            generation += 1;
            wanted = migrating(generation, act.release);
          } else if (act.kind === 'back') {
            past.push(wanted);
            wanted = past.find((each) => each.generation === statusOf(world).live) ?? wanted;
          } else if (act.kind === 'run') {
            cycle(world, wanted, act.budget);
          } else if (act.kind === 'bake') world.now += 400_000;
          else if (act.kind === 'lose') {
            if (world.statuses.delete('acme')) world.lost.add('acme');
          } else if (act.kind === 'hang') {
            world.releaseFate = 'hangs';
            cycle(world, wanted);
            world.releaseFate = 'succeeds';
          } else {
            for (const each of world.containers.values())
              if (each.role === 'release') world.endRelease(each.name, act.code);
          }
          check();
        }
        past = [...past, wanted];
        converge(world, wanted);
        check();
        // One that failed is a failure of its generation, and a restart's business.
        const { live, failure } = statusOf(world);
        if (failure === null) expect(live).toBe(wanted.generation);
        else
          expect(failure.problem.code).toMatch(
            world.lost.size > 0
              ? /^release_command_failed$|^release_outcome_unknown$/
              : /^release_command_failed$/,
          );
      }),
      {
        numRuns: 600,
        examples: [
          // What had started but never shown its health was taken to serve when the status was lost, and then wanted.
          [
            [
              { kind: 'run', budget: 8 },
              { kind: 'release', release: 1 },
              { kind: 'lose' },
              { kind: 'run', budget: 0 },
              { kind: 'back' },
            ],
          ],
        ],
      },
    );
  });

  it('that goes on while the agent is dead is waited for, and runs once', () => {
    const [one, two] = [migrating(1, 1), migrating(2, 2)];
    const world = died(one, two);
    converge(world, two);
    expect(statusOf(world).live).toBe(2);
    expect(runsOf(world, two)).toBe(1);
  });

  it('whose container has gone meanwhile waits for an operator, who counts once', () => {
    const [one, two] = [migrating(1, 1), migrating(2, 2)];
    const world = died(one, two);
    world.vanish('a1-acme-g2-release');
    converge(world, two);
    const { failure } = statusOf(world);
    expect(failure).toMatchObject({
      retryAt: null,
      problem: { code: 'release_outcome_unknown', releaseKey: keyOf(two) },
    });
    expect(runsOf(world, two)).toBe(1);
    expect(world.routedGenerations('acme')).toEqual([1]);

    // A restart is a new generation of the same release: it is no word on how the command ended.
    const again = migrating(3, 2);
    converge(world, again);
    expect(runsOf(world, two)).toBe(1);
    expect(statusOf(world).failure?.problem.code).toBe('release_outcome_unknown');

    const word = { key: keyOf(two), choice: 'run-again' as const };
    world.releaseFate = 'hangs';
    cycle(world, { ...again, decision: word });
    world.releaseFate = 'succeeds';
    expect(runsOf(world, two)).toBe(2);
    world.vanish('a1-acme-g3-release');
    converge(world, { ...again, decision: word });
    // The same word is still there, but it was about the run before.
    expect(runsOf(world, two)).toBe(2);
    const asked = statusOf(world).failure?.problem.releaseKey ?? '';
    expect(asked).not.toBe(keyOf(two));

    converge(world, { ...again, decision: { key: asked, choice: 'succeeded' } });
    expect(statusOf(world).live).toBe(3);
    expect(runsOf(world, two)).toBe(2);
  });

  it('of a generation that is taken back is stopped, and removed once its end is written down', () => {
    const [one, two] = [migrating(1, 1), migrating(2, 2)];
    const world = died(one, two);
    world.log = [];
    converge(world, one);
    expect(statusOf(world)).toMatchObject({ live: 1, move: { kind: 'idle' }, failure: null });
    expect(statusOf(world).released.at(-1)).toMatchObject({ key: keyOf(two), outcome: 'failed' });
    expect([...world.containers.values()].map((each) => each.generation)).toEqual([1, 1]);
    expect(world.log).toEqual(['stop a1-acme-g2-release']);
  });

  it('is remembered of each release whose containers are kept, where the status was lost', () => {
    const [one, two] = [migrating(1, 1), migrating(2, 2)];
    const world = new World();
    converge(world, one);
    // It bakes, so that the first one is kept, stopped.
    for (let round = 0; round < 2; round += 1) cycle(world, two);
    world.statuses.delete('acme');
    cycle(world, two);
    expect(statusOf(world).released.map((each) => [each.key, each.outcome])).toEqual([
      [keyOf(one), 'succeeded'],
      [keyOf(two), 'succeeded'],
    ]);
    converge(world, migrating(3, 1));
    expect(statusOf(world)).toMatchObject({ live: 3, failure: null });
    expect([runsOf(world, one), runsOf(world, two)]).toEqual([1, 1]);
  });

  it('of a release of which nothing is left to tell waits for an operator after the status was lost', () => {
    const [one, two] = [migrating(1, 1), migrating(2, 2)];
    const world = new World();
    converge(world, one);
    converge(world, two);
    world.statuses.delete('acme');
    cycle(world, two);
    const back = migrating(3, 1);
    converge(world, back);
    expect(statusOf(world)).toMatchObject({ live: 2 });
    expect(statusOf(world).failure?.problem).toMatchObject({
      code: 'release_outcome_unknown',
      releaseKey: keyOf(one),
    });
    expect(runsOf(world, one)).toBe(1);
    expect(world.routedGenerations('acme')).toEqual([2]);
    converge(world, { ...back, decision: { key: keyOf(one), choice: 'succeeded' } });
    expect(statusOf(world)).toMatchObject({ live: 3, failure: null });
    expect(runsOf(world, one)).toBe(1);
    // A later release was not there yet, so its command cannot have run.
    converge(world, migrating(4, 3));
    expect(statusOf(world)).toMatchObject({ live: 4, failure: null });
  });

  it('is not run again where the status of a tenant with nothing but volumes was lost, and it serves on', () => {
    const keeping = (generation: number): DesiredTenant => {
      const tenant = migrating(generation, 1);
      const volumes = [{ volume: 'data', target: '/data', readOnly: false }];
      const services = [serviceSpec('web', { route: webRoute, volumes, strategy: 'in-place' })];
      return { ...tenant, spec: { ...tenant.spec, services, volumes: ['data'] } };
    };
    const one = keeping(1);
    const world = new World();
    converge(world, one);
    expect(statusOf(world).live).toBe(1);
    world.statuses.delete('acme');
    world.log = [];
    converge(world, one);
    expect(statusOf(world)).toMatchObject({ live: 1, failure: null });
    expect(world.log).toEqual([]);
    converge(world, keeping(2));
    expect(runsOf(world, one)).toBe(1);
    expect(statusOf(world)).toMatchObject({ live: 1 });
    expect(statusOf(world).failure?.problem.code).toBe('release_outcome_unknown');
    expect(world.log).toEqual([]);
  });

  it('is not run again by a word that was given before the status was lost', () => {
    const one = migrating(1, 1);
    const world = new World();
    converge(world, one);
    for (const each of world.containers.values()) world.vanish(each.name);
    world.statuses.delete('acme');
    world.lost.add('acme');
    converge(world, { ...one, decision: { key: keyOf(one), choice: 'run-again' } });
    expect(runsOf(world, one)).toBe(1);
    expect(statusOf(world).failure?.problem.releaseKey).toBe(`${keyOf(one)}.2`);
  });

  it('is remembered as one that has run where the status was lost', () => {
    const one = migrating(1, 1);
    const world = new World();
    converge(world, one);
    world.statuses.delete('acme');
    converge(world, migrating(2, 1));
    expect(statusOf(world).live).toBe(2);
    expect(runsOf(world, one)).toBe(1);
  });
});
