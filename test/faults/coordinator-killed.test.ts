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
  await fleet.apply('shop', webApp({ image }));
  await fleet.create('acme', 'shop');
});
afterAll(() => fleet?.close());

/** Until this moment's containers are exactly these, told by name. */
async function untilRunning(names: readonly string[]): Promise<void> {
  await expect
    .poll(
      async () =>
        (await fleet.containers('acme')).filter((each) => each.state === 'running').map((each) => each.name),
      {
        timeout: 20_000,
        interval: 100,
      },
    )
    .toEqual(names);
}

describe('a coordinator that is killed', () => {
  test('in the middle of a deploy is not missed: the agent finishes, tenants answer, and later all agree', async () => {
    const load = startLoad(fleet.place('acme'));
    const agent = fleet.agents[0];
    if (agent === undefined) throw new Error('no agent');
    for (const step of ['image.ensure', 'route.switch']) {
      const { generation } = await fleet.api().showTenant({ params: { tenant: 'acme' } });
      const changed = await fleet.set('acme', { VERSION: String(generation + 1) });
      await fleet.journal.until(
        `the step ${step}`,
        (event) =>
          event.kind === 'tenant.step' &&
          event.details['step'] === step &&
          event.generation === changed.generation,
        { after: changed.afterEvent },
      );
      await fleet.coordinator.kill();
      await untilRunning([`${agent.name}-acme-g${changed.generation}-web-1`]);
      await fleet.untilAnswers('acme', String(changed.generation));
      await fleet.coordinator.start();
      await fleet.untilSettled('acme', changed.generation);
      await fleet.journal.until(
        'the event that it went live, told late',
        (event) => event.kind === 'tenant.live' && event.generation === changed.generation,
        { after: changed.afterEvent },
      );
    }
    const { failed, requests } = await load.stop();
    expect(failed).toEqual([]);
    expect(requests).toBeGreaterThan(300);
  });

  test('is not needed by an agent that starts: it works from its disk and heals what breaks', async () => {
    const agent = fleet.agents[0];
    if (agent === undefined) throw new Error('no agent');
    const before = await fleet.containers('acme');
    const load = startLoad(fleet.place('acme'));
    await fleet.coordinator.kill();
    await agent.kill();
    await agent.start();
    const { failed } = await load.stop();
    expect(failed).toEqual([]);
    expect((await fleet.containers('acme')).map((each) => each.id)).toEqual(before.map((each) => each.id));

    const web = before.find((each) => each.service === 'web' && each.state === 'running');
    if (web === undefined) throw new Error('nothing ran');
    await dockerAt(sharedSocket()).getContainer(web.id).remove({ force: true });
    await untilRunning([web.name]);
    await fleet.untilAnswers('acme', String(web.generation));

    await fleet.coordinator.start();
    await fleet.untilSettled('acme', web.generation);
    await fleet.journal.until(
      'it is told later that it was healed',
      (event) => event.kind === 'tenant.healed',
    );
    const changed = await fleet.set('acme', { VERSION: 'last' });
    await fleet.untilLive(changed);
    await fleet.untilAnswers('acme', 'last');
  });

  test('keeps what it has acknowledged: a change whose answer came is not lost', async () => {
    const changed = await fleet.set('acme', { VERSION: 'kept' });
    await fleet.coordinator.kill();
    await fleet.coordinator.start();
    const now = await fleet.api().showTenant({ params: { tenant: 'acme' } });
    expect(now.generation).toBe(changed.generation);
    await fleet.untilSettled('acme', changed.generation, { timeoutMs: 60_000 });
    await fleet.untilAnswers('acme', 'kept');
  });
});
