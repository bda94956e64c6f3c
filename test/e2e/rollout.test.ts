import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { webImage } from '../integration/support/images.ts';
import type { AgentProcess } from '../support/agent.ts';
import { dockerAt, sharedSocket } from '../support/docker.ts';
import { startFleet, type Fleet } from '../support/fleet.ts';
import { ask, startLoad } from '../support/load.ts';
import { startRollout, storyOf, tenantsOf, untilRollout } from '../support/rollouts.ts';
import { webApp } from '../support/templates.ts';

/** Releases moved over tenants of two hosts, on real coordinator, agents, Docker and Nginx. */

const docker = dockerAt(sharedSocket());
const TENANTS = ['ada', 'bob', 'cyd', 'dan', 'eve', 'fay'];
let fleet: Fleet;
let image: string;
let second: AgentProcess;

beforeAll(async () => {
  image = await webImage(docker);
  fleet = await startFleet();
  const first = await fleet.addAgent();
  second = await fleet.addAgent();
  await fleet.apply('shop', appOf('1'));
  await Promise.all(
    TENANTS.map((tenant, index) =>
      fleet.create(tenant, 'shop', { host: index % 2 === 0 ? first.host() : second.host() }),
    ),
  );
});
afterAll(() => fleet?.close());

/** A version of the app; `fails` names a variable that makes its health check fail where it is set. */
function appOf(version: string, fails = 'FAIL'): string {
  return webApp({ image, bake: '500ms', version }).replace('${FAIL:-0}', `\${${fails}:-0}`);
}

const serving = async (): Promise<Record<string, string>> =>
  Object.fromEntries(
    await Promise.all(
      TENANTS.map(async (tenant) => {
        const running = (await fleet.containers(tenant)).filter((each) => each.state === 'running');
        return [tenant, running.map((each) => each.id).join()] as const;
      }),
    ),
  );

/** The same once each old colour has stopped: that may take a moment longer than the rollout. */
async function servingAlone(): Promise<Record<string, string>> {
  const giveUp = Date.now() + 60_000;
  for (;;) {
    const found = await serving();
    if (Object.values(found).every((ids) => ids !== '' && !ids.includes(','))) return found;
    if (Date.now() > giveUp) throw new Error(`still beside each other: ${JSON.stringify(found)}`);
    await sleep(100);
  }
}

const releases = async (): Promise<Record<string, number>> => {
  const { items } = await fleet.api().listTenants({ query: {} });
  return Object.fromEntries(items.map((each) => [each.tenant, each.release]));
};

describe('a rollout', () => {
  test('moves two hosts wave by wave under load, and drops no request', async () => {
    const to = await fleet.apply('shop', appOf('2'));
    const loads = ['ada', 'bob'].map((tenant) => startLoad(fleet.place(tenant)));
    const { rollout } = await startRollout(fleet, { app: 'shop', to, waves: '1,50%,100%' });
    await untilRollout(fleet, 'is completed', rollout, (now) => now.state.kind === 'completed');
    for (const tenant of TENANTS) await fleet.untilAnswers(tenant, '2');
    for (const load of loads) {
      const { failed, requests } = await load.stop();
      expect(failed).toEqual([]);
      expect(requests).toBeGreaterThan(200);
    }
    const story = storyOf(fleet, rollout);
    const waves = story.filter((line) => line.startsWith('wave'));
    expect(waves).toEqual(
      [1, 2, 3].flatMap((wave) => [`wave ${wave} moving`, `wave ${wave} baking`, `wave ${wave} passed`]),
    );
    const rows = await tenantsOf(fleet, rollout);
    expect(rows.map((each) => each.wave)).toEqual([1, 2, 2, 3, 3, 3]);
    const later = rows.find((each) => each.wave === 3)?.tenant ?? '';
    expect(story.indexOf(`${later} moving`)).toBeGreaterThan(story.indexOf('wave 2 passed'));
    const history = await fleet.api().tenantHistory({ params: { tenant: later }, query: {} });
    expect(history.items[0]).toMatchObject({ what: 'moved', release: to, rollout });
    expect(history.items[0]?.ms).toBeGreaterThan(0);
  });

  test('stops by itself: the tenant that failed serves its old containers, and nobody else is touched', async () => {
    const from = (await releases())['ada'];
    const to = await fleet.apply('shop', appOf('3', 'FAIL3'));
    await fleet.api().setTenant({ params: { tenant: 'eve' }, body: { addTags: ['canary'] } });
    await fleet.set('eve', { FAIL3: '1' });
    const before = await servingAlone();
    const load = startLoad(fleet.place('eve'));
    const { rollout } = await startRollout(fleet, { app: 'shop', to, waves: 'canary,100%' });
    const halted = await untilRollout(fleet, 'halts', rollout, (now) => now.state.kind === 'paused');
    expect(halted.state).toMatchObject({ by: 'failure', reason: expect.stringContaining('eve') });
    expect(halted.failures).toBe(1);
    await fleet.untilTenant('is settled again', 'eve', (tenant) => tenant.phase === 'settled');
    expect((await load.stop()).failed).toEqual([]);
    expect(await serving()).toEqual(before);
    expect(await releases()).toEqual(Object.fromEntries(TENANTS.map((tenant) => [tenant, from])));

    // What was wrong is put right, and the same rollout goes on from there.
    await fleet.set('eve', { FAIL3: null });
    await fleet.api().retryRollout({ params: { rollout }, body: {} });
    await untilRollout(fleet, 'is completed', rollout, (now) => now.state.kind === 'completed');
    for (const tenant of TENANTS) await fleet.untilAnswers(tenant, '3');
  });

  test('returns the wave that went bad, and leaves the waves before as they are', async () => {
    const to = await fleet.apply('shop', appOf('4', 'FAIL4'));
    const from = (await releases())['ada'];
    await fleet.set('fay', { FAIL4: '1' });
    const { rollout } = await startRollout(fleet, {
      app: 'shop',
      to,
      waves: 'canary,@ada+bob+fay,100%',
      policy: { onFailure: 'rollback', bakeMs: 2_000 },
    });
    const halted = await untilRollout(
      fleet,
      'has rolled its wave back',
      rollout,
      (now) => now.state.kind === 'paused',
    );
    expect(halted.waves.map((wave) => wave.state.kind)).toEqual(['passed', 'rolled-back', 'pending']);
    for (const tenant of ['ada', 'bob', 'fay', 'cyd', 'dan']) await fleet.untilAnswers(tenant, '3');
    await fleet.untilAnswers('eve', '4');
    expect(await releases()).toMatchObject({ eve: to, ada: from, bob: from, fay: from, cyd: from });

    await fleet.api().rollbackRollout({ params: { rollout }, body: { reason: 'not today' } });
    const back = await untilRollout(
      fleet,
      'is rolled back',
      rollout,
      (now) => now.state.kind === 'rolled-back',
    );
    expect(back.state).toMatchObject({ reason: expect.stringContaining('not today') });
    await fleet.untilAnswers('eve', '3');
    await expect(fleet.api().rollbackRollout({ params: { rollout }, body: {} })).rejects.toMatchObject({
      code: 'conflict',
    });
    await fleet.set('fay', { FAIL4: null });
  });

  test('waits for a host that is offline, and picks its tenants up when it is back', async () => {
    const to = await fleet.apply('shop', appOf('5'));
    await second.kill();
    await fleet.journal.until('that the host is offline', (event) => event.kind === 'host.offline', {
      after: fleet.lastEvent(),
    });
    const { rollout } = await startRollout(fleet, { app: 'shop', to, waves: '100%' });
    const waiting = await untilRollout(fleet, 'waits', rollout, (now) => now.state.kind === 'waiting');
    expect(waiting.counts).toMatchObject({ moved: 3, skipped: 3 });
    expect(waiting.held).toContain('offline');
    await fleet.restart(second);
    await untilRollout(fleet, 'is completed', rollout, (now) => now.state.kind === 'completed');
    for (const tenant of TENANTS) await fleet.untilAnswers(tenant, '5');
  });

  test('honours a pin, a freeze and an approval', async () => {
    const to = await fleet.apply('shop', appOf('6'));
    await fleet.api().setTenant({ params: { tenant: 'ada' }, body: { pinned: 'a launch' } });
    await fleet.api().freezeApp({ params: { app: 'shop' }, body: { reason: 'stocktaking' } });
    await expect(startRollout(fleet, { app: 'shop', to, waves: '100%' })).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining('stocktaking'),
    });
    await fleet.api().unfreezeApp({ params: { app: 'shop' } });
    const { rollout } = await startRollout(fleet, { app: 'shop', to, waves: '@bob,100%:approve' });
    const asks = await untilRollout(fleet, 'asks', rollout, (now) => now.held?.includes('approval') === true);
    expect(asks.waves[1]?.state.kind).toBe('awaiting-approval');
    await fleet.api().approveRollout({ params: { rollout }, body: {} });
    await untilRollout(fleet, 'is completed', rollout, (now) => now.state.kind === 'completed');
    await fleet.untilAnswers('fay', '6');
    await fleet.untilAnswers('ada', '5');
    await fleet.api().setTenant({ params: { tenant: 'ada' }, body: { pinned: null } });
  });

  test('takes back a version that passes its health check and then answers 500 under load', async () => {
    // These words end the server's answer and add a place that always fails.
    const { body: before } = await ask(fleet.place('cyd'));
    await fleet.set('cyd', { VERSION7: '7"; } location = /work { return 500 "broken' });
    const to = await fleet.apply('shop', appOf('7').replace('${VERSION:-7}', '${VERSION7:-7}'));
    const load = startLoad(fleet.place('cyd', '/work'));
    // The past is told by the agent twice a minute.
    await sleep(35_000);
    const { rollout } = await startRollout(fleet, {
      app: 'shop',
      to,
      waves: '@cyd,100%',
      policy: { bakeMs: 60_000, onFailure: 'rollback' },
    });
    const halted = await untilRollout(fleet, 'halts', rollout, (now) => now.state.kind === 'paused', 90_000);
    expect(halted.state).toMatchObject({ reason: expect.stringContaining('5xx') });
    await fleet.untilAnswers('cyd', before);
    const { failed } = await load.stop();
    expect(failed.length).toBeGreaterThan(10);
    expect(failed.every((line) => line.includes('status 500'))).toBe(true);
    await fleet.api().abortRollout({ params: { rollout }, body: {} });
  });
});
