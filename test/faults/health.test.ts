import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { webImage } from '../integration/support/images.ts';
import { dockerAt, sharedSocket } from '../support/docker.ts';
import { startFleet, type Fleet } from '../support/fleet.ts';
import { startLoad } from '../support/load.ts';
import { webApp } from '../support/templates.ts';

let fleet: Fleet;
beforeAll(async () => {
  const image = await webImage(dockerAt(sharedSocket()));
  fleet = await startFleet();
  await fleet.addAgent();
  await fleet.apply('shop', webApp({ image, bake: '2s' }));
  await fleet.create('acme', 'shop');
});
afterAll(() => fleet?.close());

describe('a generation that is no good', () => {
  test('one that never becomes healthy leaves the old one serving, and its last lines tell why', async () => {
    const load = startLoad(fleet.place('acme'));
    const changed = await fleet.set('acme', { VERSION: '2', FAIL: '1' });
    const problem = await fleet.untilTrouble('tenant.failed', changed);
    expect(problem.code).toBe('health_failed');
    expect(problem.logTail).toContain('version 2');
    const { failed, answers, requests } = await load.stop();
    expect(failed).toEqual([]);
    expect(requests).toBeGreaterThan(100);
    expect([...answers.keys()]).toEqual(['1']);
    const explained = await fleet.api().explainTenant({ params: { tenant: 'acme' } });
    expect(explained.problem?.logTail).toContain('version 2');
    const good = await fleet.set('acme', { VERSION: '3', FAIL: null });
    await fleet.untilLive(good);
    await fleet.untilAnswers('acme', '3');
  });
});
