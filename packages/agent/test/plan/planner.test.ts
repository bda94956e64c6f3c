import { expect, test } from 'vitest';
import { createPlanner } from '../../src/plan/plan.ts';
import { desiredState, desiredTenant, settings } from '../support/specs.ts';
import { World } from '../support/world.ts';

test('a tenant at rest is planned once, and anew when anything of it changed', () => {
  const world = new World();
  const desired = desiredState([desiredTenant('acme', 1), desiredTenant('bolt', 1)]);
  for (let round = 0; round < 10; round += 1) {
    world.cycle(desired);
    world.now += 100_000;
  }
  const planNext = createPlanner();
  const made = (busy: ReadonlySet<string> = new Set()) =>
    planNext({
      desired,
      mode: 'apply',
      statuses: world.statuses,
      observed: world.observed(),
      reserved: [],
      busy,
      settings,
      now: world.now,
    }).tenants;
  const [acme, bolt] = made();
  expect([acme?.steps, bolt?.steps]).toEqual([[], []]);
  const again = made();
  expect(again[0]).toBe(acme);
  expect(again[1]).toBe(bolt);

  for (const container of world.containers.values())
    if (container.tenant === 'acme') Object.assign(container, { state: 'exited', exitCode: 1 });
  const after = made();
  expect(after[0]?.steps).not.toEqual([]);
  expect(after[1]).toBe(bolt);
  expect(made(new Set(['acme'])).map((each) => each.tenant)).toEqual(['bolt']);

  const [virtual] = [...world.containers.values()].flatMap((each) =>
    each.tenant === 'bolt' && each.virtual !== null ? [each.virtual] : [],
  );
  world.routes = new Map([...world.routes].filter(([each]) => each !== virtual));
  expect(made()[1]?.steps.map((step) => step.kind)).toEqual(['route.switch']);
});
