import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { DesiredState, DesiredTenant } from '@berth/shared/domain/desired';
import { hashOf } from '../../src/plan/generation.ts';
import { servicesOf } from '../../src/plan/services.ts';
import { desiredState, desiredTenant } from '../support/specs.ts';
import { makeServices } from '../support/shapes.ts';
import { World } from '../support/world.ts';
import { generation, moment, ONCE_WRONG, type Generation, type Moment } from './back-stories.ts';

/** A round takes longer than any back-off and any bake. */
const ROUNDS = 12;

function live(world: World, desired: DesiredState, moments: readonly Moment[]): void {
  for (const each of moments) {
    if (each.kind === 'run') world.cycle(desired, each.budget);
    else if (each.kind === 'wait') world.now += each.ms;
    else if (each.kind === 'lose') world.statuses.delete('acme');
    else {
      const names = [...world.containers.values()].map((container) => container.name).sort();
      world.kill(names[each.pick % Math.max(1, names.length)] ?? '');
    }
  }
}

function converge(world: World, desired: DesiredState): void {
  for (let round = 0; round < ROUNDS; round += 1) {
    world.cycle(desired);
    world.now += 400_000;
  }
}

const stateOf = (tenant: DesiredTenant, revision: number): DesiredState =>
  desiredState([tenant], { revision });

/** Exactly this generation's containers are there, all routes lead to them, and nothing is left to do. */
function expectServes(world: World, tenant: DesiredTenant): void {
  const status = world.statuses.get('acme');
  expect(status).toMatchObject({ live: tenant.generation, move: { kind: 'idle' }, failure: null });
  const made = world.plan(stateOf(tenant, 99));
  expect(made.tenants[0]?.steps).toEqual([]);
  expect(made.host).toEqual([]);
  const there = [...world.containers.values()];
  expect(there.map((each) => `${each.service} ${each.replica}`).sort()).toEqual(
    tenant.spec.services
      .flatMap((each) => Array.from({ length: each.replicas }, (_unused, at) => `${each.name} ${at + 1}`))
      .sort(),
  );
  for (const each of there) {
    if (each.role === 'colour') expect(each.generation).toBe(tenant.generation);
    else expect(each.generation).toBeLessThanOrEqual(tenant.generation);
  }
  const hashes = new Map(servicesOf(tenant).map(({ spec }) => [spec.name, hashOf(spec)]));
  for (const each of there) expect(each.specHash).toBe(hashes.get(each.service));
  const up = there.filter((each) => each.state === 'running');
  const virtuals = new Set(there.flatMap((each) => (each.virtual === null ? [] : [each.virtual])));
  expect(virtuals.size).toBe(tenant.spec.services.filter((each) => each.route !== undefined).length);
  for (const virtual of virtuals) {
    const target = world.routes.get(virtual);
    const endpoints = target?.kind === 'containers' ? target.endpoints.map((each) => each.address) : [];
    const own = up.filter((each) => each.virtual === virtual).map((each) => each.address);
    expect(endpoints.sort()).toEqual(own.sort());
  }
  // The kernel may know more addresses than Nginx has sites for; nobody is led to those.
  const sites = (world.sites ?? []).map((site) => site.virtual);
  expect(new Set(sites)).toEqual(virtuals);
}

/** Some generations come one after the other; one that has served is gone back to. */
function tell(
  world: World,
  generations: readonly Generation[],
  between: readonly (readonly Moment[])[],
  back: number,
  after: readonly Moment[],
): void {
  const all = generations.map(({ shape, database }, index) =>
    desiredTenant('acme', index + 1, {
      release: index + 1,
      services: makeServices(shape, index + 1, database),
    }),
  );
  // What is gone back to has served; any of the later ones may fail.
  const to = all[back % (all.length - 1)];
  if (to === undefined) throw new Error('no generation');
  let revision = 1;
  for (const [index, tenant] of all.entries()) {
    const key = `acme ${tenant.generation}`;
    if (tenant !== to && generations[index]?.fate === 'unhealthy') world.unhealthy.add(key);
    if (tenant !== to && generations[index]?.fate === 'unverifiable') world.unverifiable.add(key);
    revision += 1;
    if (tenant === to) converge(world, stateOf(tenant, revision));
    else live(world, stateOf(tenant, revision), between[index] ?? []);
  }
  revision += 1;
  live(world, stateOf(to, revision), after);
  converge(world, stateOf(to, revision));
  // A crash while it baked was its own fault, as it would be going forward.
  if (world.condemned.has(`acme ${to.generation}`)) return;
  expectServes(world, to);
}

describe('going back to an earlier generation, word for word', { timeout: 120_000 }, () => {
  it('converges to exactly that generation from any point of the way, whatever died there', () => {
    fc.assert(
      fc.property(
        fc.array(generation, { minLength: 2, maxLength: 4 }),
        fc.array(fc.array(moment, { maxLength: 4 }), { minLength: 4, maxLength: 4 }),
        fc.nat(2),
        fc.array(moment, { maxLength: 4 }),
        (...story) => tell(new World(), ...story),
      ),
      { numRuns: 500, examples: ONCE_WRONG },
    );
  });

  it('leads nobody to a container that stops, as long as nothing but the agent dies', () => {
    const steady = fc.oneof(
      { weight: 3, arbitrary: fc.record({ kind: fc.constant('run' as const), budget: fc.nat(40) }) },
      {
        weight: 1,
        arbitrary: fc.record({ kind: fc.constant('wait' as const), ms: fc.constantFrom(100, 61_000) }),
      },
    );
    fc.assert(
      fc.property(
        fc.boolean(),
        fc.array(generation, { minLength: 2, maxLength: 2 }),
        fc.array(fc.array(steady, { maxLength: 4 }), { minLength: 2, maxLength: 2 }),
        fc.constant(0),
        fc.array(steady, { maxLength: 4 }),
        (keptWeb, generations, between, back, after) => {
          const world = new World();
          world.stops = 'unrouted';
          // A service that begins or ceases to keep data is stopped on the way back, whoever is led to it.
          const alike = generations.map((each) => ({ ...each, shape: { ...each.shape, keptWeb } }));
          tell(world, alike, between, back, after);
        },
      ),
      { numRuns: 500 },
    );
  });
});
