import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { DesiredState, DesiredTenant } from '@berth/shared/domain/desired';
import { newStatus } from '@berth/shared/domain/status';
import { plan } from '../../src/plan/plan.ts';
import { makeServices, services } from '../support/shapes.ts';
import { desiredState, desiredTenant, settings } from '../support/specs.ts';
import { World } from '../support/world.ts';

const ROUNDS = 40;

const act = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('deploy' as const),
      tenant: fc.nat(2),
      shape: services,
      fate: fc.constantFrom('good' as const, 'good' as const, 'unhealthy' as const, 'unverifiable' as const),
      database: fc.nat(1),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant('run' as const), budget: fc.integer({ min: 0, max: 30 }) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('pause' as const), tenant: fc.nat(2) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('resume' as const), tenant: fc.nat(2) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('flush' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('bake' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('kill' as const), pick: fc.nat() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('lose' as const), pick: fc.nat() }) },
);

const NAMES = ['acme', 'globex', 'initech'];

interface Story {
  world: World;
  desired: DesiredState;
  /** Generations per tenant that can be brought to serve. */
  good: Map<string, number[]>;
}

function tell(acts: readonly (typeof act extends fc.Arbitrary<infer T> ? T : never)[]): Story {
  const world = new World();
  const good = new Map<string, number[]>();
  const tenants = new Map<string, DesiredTenant>();
  let revision = 1;
  const state = (): DesiredState => desiredState([...tenants.values()], { revision });
  for (const each of acts) {
    revision += 1;
    switch (each.kind) {
      case 'deploy': {
        const name = NAMES[each.tenant] ?? 'acme';
        const before = tenants.get(name);
        const generation = (before?.generation ?? 0) + 1;
        tenants.set(
          name,
          desiredTenant(name, generation, {
            state: before?.state ?? 'running',
            release: generation,
            services: makeServices(each.shape, generation, each.database),
          }),
        );
        if (each.fate === 'unhealthy') world.unhealthy.add(`${name} ${generation}`);
        if (each.fate === 'unverifiable') world.unverifiable.add(`${name} ${generation}`);
        if (each.fate === 'good') good.set(name, [...(good.get(name) ?? []), generation]);
        break;
      }
      case 'run':
        world.cycle(state(), each.budget);
        world.now += 100;
        break;
      case 'pause':
      case 'resume': {
        const name = NAMES[each.tenant] ?? 'acme';
        const tenant = tenants.get(name);
        if (tenant !== undefined)
          tenants.set(name, { ...tenant, state: each.kind === 'pause' ? 'paused' : 'running' });
        break;
      }
      case 'flush':
        world.routes.clear();
        break;
      case 'bake':
        world.now += 120_000;
        break;
      case 'kill': {
        const names = [...world.containers.values()].map((container) => container.name).sort();
        world.kill(names[each.pick % Math.max(1, names.length)] ?? '');
        break;
      }
      case 'lose': {
        const name = NAMES[each.pick % NAMES.length] ?? 'acme';
        world.statuses.delete(name);
        break;
      }
    }
  }
  return { world, desired: state(), good };
}

function converge(world: World, desired: DesiredState): void {
  for (let round = 0; round < ROUNDS; round += 1) {
    world.cycle(desired);
    world.now += 400_000; // past every back-off and bake time
  }
}

// Thousands of stories take their time where other tests run as well.
describe('plan and machine, over random stories', { timeout: 120_000 }, () => {
  it('converge: the newest generation that can serve does, alone, and nothing is left to do', () => {
    fc.assert(
      fc.property(fc.array(act, { minLength: 1, maxLength: 25 }), (acts) => {
        const { world, desired } = tell(acts);
        converge(world, desired);
        for (const tenant of Object.values(desired.tenants)) {
          const status = world.statuses.get(tenant.tenant) ?? newStatus(tenant.tenant);
          const key = `${tenant.tenant} ${tenant.generation}`;
          const sound =
            !world.unhealthy.has(key) && !world.unverifiable.has(key) && !world.condemned.has(key);
          if (tenant.state === 'paused') {
            expect(world.routedGenerations(tenant.tenant)).toEqual([]);
            continue;
          }
          if (!sound && status.live === null) continue; // tried again for ever: nothing to lose
          if (sound) expect(status.live).toBe(tenant.generation);
          const made = world.plan(desired);
          expect(made.tenants.find((each) => each.tenant === tenant.tenant)?.steps).toEqual([]);
          expect(made.host).toEqual([]);
          expect(world.routedGenerations(tenant.tenant).filter((each) => each !== status.live)).toEqual([]);
          const left = [...world.containers.values()].filter(
            (each) => each.tenant === tenant.tenant && each.role === 'colour',
          );
          expect(new Set(left.map((each) => each.generation)).size).toBeLessThanOrEqual(1);
          if (status.live !== tenant.generation) continue;
          const there = [...world.containers.values()]
            .filter((each) => each.tenant === tenant.tenant && each.role !== 'release')
            .map((each) => `${each.service} ${each.replica}`);
          const wanted = tenant.spec.services.flatMap((service) =>
            Array.from({ length: service.replicas }, (_unused, index) => `${service.name} ${index + 1}`),
          );
          expect(there.sort()).toEqual(wanted.sort());
        }
      }),
      { numRuns: 800 },
    );
  });

  it('survive a crash after any step of a deploy with one live colour throughout', () => {
    fc.assert(
      fc.property(
        services,
        services,
        fc.integer({ min: 0, max: 40 }),
        fc.boolean(),
        (first, second, crashAt, loseStatus) => {
          const world = new World();
          const one = desiredState([desiredTenant('acme', 1, { services: makeServices(first, 1, 0) })]);
          converge(world, one);
          const two = desiredState([desiredTenant('acme', 2, { services: makeServices(second, 2, 1) })], {
            revision: 2,
          });
          world.cycle(two, crashAt);
          if (loseStatus) world.statuses.delete('acme');
          expect(world.routedGenerations('acme').length).toBeLessThanOrEqual(1);
          converge(world, two);
          expect(world.statuses.get('acme')?.live).toBe(2);
        },
      ),
      { numRuns: 1500 },
    );
  });

  it('run a release command once, wherever the agent dies', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 12 }), { maxLength: 6 }), (budgets) => {
        const world = new World();
        const spec = desiredTenant('acme', 1);
        const desired = desiredState([
          {
            ...spec,
            spec: { ...spec.spec, release: { service: 'web', command: ['migrate'], timeoutMs: 1000 } },
          },
        ]);
        for (const budget of budgets) world.cycle(desired, budget);
        converge(world, desired);
        expect([...world.releases.values()]).toEqual([1]);
        // Another variable, the same release: the command does not run again.
        const next = desiredState(
          [
            {
              ...spec,
              generation: 2,
              spec: { ...spec.spec, release: { service: 'web', command: ['migrate'], timeoutMs: 1000 } },
            },
          ],
          { revision: 2 },
        );
        converge(world, next);
        expect([...world.releases.values()]).toEqual([1]);
      }),
      { numRuns: 300 },
    );
  });

  it('disturb nothing when every status file was lost', () => {
    fc.assert(
      fc.property(fc.array(services, { minLength: 1, maxLength: 3 }), fc.boolean(), (shapes, flushed) => {
        const world = new World();
        const desired = desiredState(
          shapes.map((shape, index) =>
            desiredTenant(NAMES[index] ?? 'acme', 1, { services: makeServices(shape, 1, 0) }),
          ),
        );
        converge(world, desired);
        world.log = [];
        world.statuses.clear();
        if (flushed) world.routes.clear();
        converge(world, desired);
        expect(world.log.filter((line) => line.startsWith('stop'))).toEqual([]);
        expect(world.log).toEqual([]);
      }),
      { numRuns: 300 },
    );
  });

  it('give the same plan whatever the order of what is seen', () => {
    fc.assert(
      fc.property(fc.array(act, { minLength: 1, maxLength: 20 }), fc.integer(), (acts, seed) => {
        const { world, desired } = tell(acts);
        const observed = world.observed();
        const shuffled = [...observed.containers].sort(
          (a, b) =>
            ((a.id.length * 31 + seed) % 7) - ((b.id.length * 17 + seed) % 5) || (a.id < b.id ? 1 : -1),
        );
        const input = {
          desired,
          mode: 'apply' as const,
          statuses: world.statuses,
          reserved: [],
          settings,
          now: world.now,
        };
        expect(plan({ ...input, observed: { ...observed, containers: shuffled } })).toEqual(
          plan({ ...input, observed }),
        );
      }),
      { numRuns: 500 },
    );
  });
});
