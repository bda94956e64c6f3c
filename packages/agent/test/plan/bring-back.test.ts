import { expect, test } from 'vitest';
import { desiredState, desiredTenant, serviceSpec, webRoute } from '../support/specs.ts';
import { World } from '../support/world.ts';

const database = serviceSpec('db', {
  strategy: 'in-place',
  volumes: [{ volume: 'data', target: '/data', readOnly: false }],
});
const web = serviceSpec('web', {
  route: webRoute,
  replicas: 2,
  dependsOn: [{ service: 'db', condition: 'healthy', required: true }],
});
const tenant = desiredTenant('acme', 1, { services: [database, web] });
const running = desiredState([tenant]);

function settled(): World {
  const world = new World();
  for (let round = 0; round < 3; round += 1) {
    world.cycle(running);
    world.now += 120_000;
  }
  return world;
}

function kinds(world: World): string[] {
  return (world.plan(running).tenants[0]?.steps ?? []).map((step) =>
    step.kind === 'containers.start' || step.kind === 'containers.probe'
      ? `${step.kind} ${[...new Set(step.containers.map((each) => each.service))].join(' ')}`
      : step.kind,
  );
}

test('after a pause, services come back in the order in which they need each other', () => {
  const world = settled();
  world.cycle(desiredState([{ ...tenant, state: 'paused' }], { revision: 2 }));
  expect(kinds(world)).toEqual([
    'containers.start db',
    'containers.probe db',
    'containers.start web',
    'containers.probe web',
    'route.switch',
  ]);
});

test('a lost copy is out of the route until it is healthy again', () => {
  const world = settled();
  world.kill('a1-acme-g1-web-2');
  expect(kinds(world)).toEqual([
    'route.switch',
    'containers.start web',
    'containers.probe web',
    'route.switch',
  ]);
  world.cycle(running);
  expect(kinds(world)).toEqual([]);
});

test('the only copy stays in the route, for it has nobody to stand in', () => {
  const world = settled();
  world.kill('a1-acme-g1-web-1');
  world.kill('a1-acme-g1-web-2');
  expect(kinds(world)).toEqual(['containers.start web', 'containers.probe web']);
});

test('a service in place that a dead agent had started again is probed by the next move, until it is healthy', () => {
  const world = settled();
  const next = desiredState([{ ...tenant, generation: 2 }], { revision: 2 });
  const probed = (): boolean =>
    (world.plan(next).tenants[0]?.steps ?? []).some(
      (step) => step.kind === 'containers.probe' && step.containers.some((each) => each.service === 'db'),
    );
  const found = [...world.containers.values()].find((each) => each.service === 'db');
  if (found === undefined) throw new Error('no database');
  found.health = 'starting';
  expect(probed()).toBe(true);
  found.health = 'healthy';
  expect(probed()).toBe(false);
});

test('a copy that somebody removed comes back at its address, where no new generation is born meanwhile', () => {
  const world = settled();
  const addressOf = (service: string, desired = running): string[] =>
    (world.plan(desired).tenants[0]?.steps ?? []).flatMap((step) =>
      step.kind === 'containers.start'
        ? step.containers.filter((each) => each.service === service).map((each) => each.address)
        : [],
    );
  const removed = [...world.containers.values()].find((each) => each.name === 'a1-acme-g1-web-1');
  if (removed === undefined) throw new Error('no web');
  world.vanish(removed.name);
  expect(addressOf('web')).toEqual([removed.address]);
  const next = addressOf('web', desiredState([{ ...tenant, generation: 2 }], { revision: 2 }));
  expect(next).toHaveLength(2);
  expect(next).not.toContain(removed.address);
});
