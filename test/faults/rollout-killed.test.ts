import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { webImage } from '../integration/support/images.ts';
import { dockerAt, sharedSocket } from '../support/docker.ts';
import { startFleet, type Fleet } from '../support/fleet.ts';
import { startLoad } from '../support/load.ts';
import { startRollout, storyOf, untilRollout } from '../support/rollouts.ts';
import { webApp } from '../support/templates.ts';

const TENANTS = ['ada', 'bob', 'cyd', 'dan'];
let fleet: Fleet;
let image: string;
beforeAll(async () => {
  image = await webImage(dockerAt(sharedSocket()));
  fleet = await startFleet();
  await fleet.addAgent();
  await fleet.apply('shop', webApp({ image, version: '1' }));
  await Promise.all(TENANTS.map((tenant) => fleet.create(tenant, 'shop')));
});
afterAll(() => fleet?.close());

const generations = async (): Promise<Record<string, number>> => {
  const { items } = await fleet.api().listTenants({ query: {} });
  return Object.fromEntries(items.map((each) => [each.tenant, each.generation]));
};

/** Kills the coordinator as soon as the rollout's story has this line, and starts it again. */
async function killAt(rollout: number, line: string): Promise<void> {
  const until = Date.now() + 40_000;
  while (!storyOf(fleet, rollout).includes(line)) {
    if (Date.now() > until) throw new Error(`no "${line}" in ${storyOf(fleet, rollout).join(', ')}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  await fleet.coordinator.kill();
  await fleet.coordinator.start();
}

describe('a coordinator that is killed in the middle of a rollout', () => {
  test('goes on where it was, in every phase, and begins nobody twice', async () => {
    const before = await generations();
    const to = await fleet.apply('shop', webApp({ image, version: '2' }));
    const load = startLoad(fleet.place('ada'));
    const { rollout } = await startRollout(fleet, {
      app: 'shop',
      to,
      waves: '@ada,@bob+cyd,100%',
      policy: { bakeMs: 1_500 },
    });
    const phases = [
      'wave 1 moving',
      'ada moving',
      'ada live',
      'wave 1 baking',
      'wave 1 passed',
      'wave 2 moving',
      'cyd moving',
      'wave 2 baking',
      'dan live',
      'wave 3 passed',
    ];
    for (const phase of phases) await killAt(rollout, phase);
    await untilRollout(fleet, 'is completed', rollout, (now) => now.state.kind === 'completed');
    for (const tenant of TENANTS) await fleet.untilAnswers(tenant, '2');
    expect((await load.stop()).failed).toEqual([]);
    expect(await generations()).toEqual(
      Object.fromEntries(Object.entries(before).map(([tenant, generation]) => [tenant, generation + 1])),
    );
    const story = storyOf(fleet, rollout);
    expect(story.filter((line) => line.endsWith(' moving') && !line.startsWith('wave')).sort()).toEqual(
      TENANTS.map((tenant) => `${tenant} moving`),
    );
  });

  test('finishes taking a wave back, and takes back nobody twice', async () => {
    const failing = webApp({ image, version: '3' }).replace('${FAIL:-0}', '${FAIL3:-0}');
    const to = await fleet.apply('shop', failing);
    await fleet.set('dan', { FAIL3: '1' });
    const { rollout } = await startRollout(fleet, {
      app: 'shop',
      to,
      waves: '@ada+bob+dan,100%',
      policy: { bakeMs: 30_000, onFailure: 'rollback' },
    });
    for (const phase of ['wave 1 failed', 'state rolling-back']) await killAt(rollout, phase);
    await untilRollout(fleet, 'has rolled its wave back', rollout, (now) => now.state.kind === 'paused');
    for (const tenant of TENANTS) await fleet.untilAnswers(tenant, '2');
    const story = storyOf(fleet, rollout);
    for (const tenant of ['ada', 'bob'])
      expect(story.filter((line) => line === `${tenant} returning`).length).toBeLessThanOrEqual(1);
    const { items } = await fleet.api().listTenants({ query: {} });
    expect(new Set(items.map((each) => each.release))).toEqual(new Set([to - 1]));
  });
});
