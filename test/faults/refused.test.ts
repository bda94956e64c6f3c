import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { webImage } from '../integration/support/images.ts';
import type { AgentProcess } from '../support/agent.ts';
import { dockerAt, sharedSocket } from '../support/docker.ts';
import { startFleet, type Fleet } from '../support/fleet.ts';
import { startLoad } from '../support/load.ts';
import { webApp } from '../support/templates.ts';

const docker = dockerAt(sharedSocket());
let fleet: Fleet;
let agent: AgentProcess;
let image: string;
let newest = 1;

beforeAll(async () => {
  image = await webImage(docker);
  fleet = await startFleet();
  agent = await fleet.addAgent();
  await fleet.apply('shop', webApp({ image, bake: '${BAKE:-1s}' }));
  await fleet.create('acme', 'shop');
});
afterAll(() => fleet?.close());

/** A change that is good again, and what the tenant must answer then. */
async function recover(): Promise<void> {
  newest += 1;
  const good = await fleet.set('acme', {
    VERSION: `${newest}`,
    FAIL: null,
    CRASH: null,
    BAKE: null,
    HEALTH: null,
    IMAGE: null,
  });
  await fleet.untilLive(good);
  await fleet.untilAnswers('acme', `${newest}`);
}

describe('a generation that is no good', () => {
  test('because it never becomes healthy leaves the old one serving, and its last lines tell why', async () => {
    const load = startLoad(fleet.place('acme'));
    const changed = await fleet.set('acme', { VERSION: 'sick', FAIL: '1' });
    const problem = await fleet.untilTrouble('tenant.failed', changed);
    expect(problem.code).toBe('health_failed');
    expect(problem.service).toBe('web');
    expect(problem.logTail).toContain('version sick');
    const { failed, answers, requests } = await load.stop();
    expect(failed).toEqual([]);
    expect(requests).toBeGreaterThan(100);
    expect([...answers.keys()]).toEqual(['1']);
    const explained = await fleet.api().explainTenant({ params: { tenant: 'acme' } });
    expect(explained.phase).toBe('failed');
    expect(explained.problem?.logTail).toContain('version sick');
    await recover();
  });

  test('because it does not answer well through Nginx is taken back, and no request is lost', async () => {
    const load = startLoad(fleet.place('acme'));
    const changed = await fleet.set('acme', { VERSION: 'rude', HEALTH: '/bad' });
    const problem = await fleet.untilTrouble('tenant.returned', changed);
    expect(problem.code).toBe('verify_failed');
    expect(problem.message).toContain('500');
    await fleet.untilAnswers('acme', `${newest}`);
    expect((await load.stop()).failed).toEqual([]);
    await expect
      .poll(
        async () =>
          (await fleet.containers('acme'))
            .filter((each) => each.state === 'running')
            .map((each) => each.generation),
        { timeout: 15_000 },
      )
      .toEqual([changed.generation - 1]);
    await recover();
  });

  test('because it crashes while it bakes is taken back to the one before', async () => {
    const changed = await fleet.set('acme', { VERSION: 'weak', CRASH: '1', BAKE: '5s' });
    await fleet.untilLive(changed);
    const problem = await fleet.untilTrouble('tenant.returned', changed);
    expect(problem.code).toBe('crash_loop');
    expect(problem.logTail).toContain('it crashes');
    await fleet.untilAnswers('acme', `${newest}`);
    await recover();
  });
});

describe('a host that lacks what a generation needs', () => {
  test('an image that nobody has blocks the tenant with a sentence, and goes on by itself when it appears', async () => {
    const missing = `127.0.0.1:9/${agent.name}:missing`;
    const load = startLoad(fleet.place('acme'));
    const changed = await fleet.set('acme', { VERSION: 'late', IMAGE: missing });
    const problem = await fleet.untilTrouble('tenant.blocked', changed);
    expect(['image_not_found', 'registry_unreachable']).toContain(problem.code);
    expect(problem.message).toContain(missing);
    const explained = await fleet.api().explainTenant({ params: { tenant: 'acme' } });
    expect(explained.phase).toBe('blocked');
    expect(explained.retryAt).not.toBeNull();
    expect(explained.steps.find((step) => step.state === 'failed')?.kind).toBe('image.ensure');

    await docker.getImage(image).tag({ repo: missing.replace(':missing', ''), tag: 'missing' });
    try {
      await fleet.untilLive(changed);
      await fleet.untilAnswers('acme', 'late');
      expect((await load.stop()).failed).toEqual([]);
      await recover();
      await fleet.untilSettled('acme', changed.generation + 1);
    } finally {
      await docker.getImage(missing).remove();
    }
  });

  test('memory that is short blocks the tenant with the numbers, and it goes on when there is enough', async () => {
    agent.configure({ reserve: { memoryBytes: 2 ** 44, diskBytes: 0 } });
    await fleet.restart(agent);
    const load = startLoad(fleet.place('acme'));
    const changed = await fleet.set('acme', { VERSION: 'small' });
    const problem = await fleet.untilTrouble('tenant.blocked', changed);
    expect(problem.code).toBe('memory_short');
    expect(problem.message).toMatch(/need 8 MiB.*16777216 MiB must stay free.*only \d+ MiB is available/);
    agent.configure({ reserve: { memoryBytes: 0, diskBytes: 0 } });
    await fleet.restart(agent);
    await fleet.untilLive(changed);
    await fleet.untilAnswers('acme', 'small');
    expect((await load.stop()).failed).toEqual([]);
  });
});

describe('a container that is not ours', () => {
  test('but stands where one of ours should is left alone, and the tenant says what is in its way', async () => {
    const { generation } = await fleet.api().showTenant({ params: { tenant: 'acme' } });
    const name = `${agent.name}-acme-g${generation + 1}-web-1`;
    const foreign = await docker.createContainer({ name, Image: image, Cmd: ['sleep', '1000'] });
    try {
      await foreign.start();
      const load = startLoad(fleet.place('acme'));
      const changed = await fleet.set('acme', { VERSION: 'next' });
      const problem = await fleet.untilTrouble('tenant.failed', changed);
      expect(problem.code).toBe('conflict');
      expect(problem.message).toContain(name);
      const found = await foreign.inspect();
      expect(found.State.Running).toBe(true);
      expect(found.RestartCount).toBe(0);
      await foreign.rename({ name: `${name}-moved` });
      const again = await fleet.api().restartTenant({ params: { tenant: 'acme' } });
      await fleet.untilLive(again);
      await fleet.untilAnswers('acme', 'next');
      await fleet.untilSettled('acme', again.generation);
      expect((await load.stop()).failed).toEqual([]);
      expect((await foreign.inspect()).State.Running).toBe(true);
    } finally {
      await foreign.remove({ force: true });
    }
  });

  test('but carries some labels like ours, and other agents’ containers, are neither seen nor touched', async () => {
    const labels = {
      'berth.agent': agent.name,
      'berth.tenant': 'acme',
      'berth.generation': 'not a number',
    };
    const half = await docker.createContainer({ Image: image, Cmd: ['sleep', '1000'], Labels: labels });
    const other = await docker.createContainer({
      Image: image,
      Cmd: ['sleep', '1000'],
      Labels: { ...labels, 'berth.agent': `${agent.name}x`, 'berth.generation': '1' },
    });
    try {
      await half.start();
      await other.start();
      const changed = await fleet.set('acme', { VERSION: 'beside' });
      await fleet.untilSettled('acme', changed.generation);
      await sleep(200);
      for (const each of [half, other]) expect((await each.inspect()).State.Running).toBe(true);
      expect(JSON.stringify(await fleet.api().explainTenant({ params: { tenant: 'acme' } }))).not.toContain(
        half.id,
      );
    } finally {
      await half.remove({ force: true });
      await other.remove({ force: true });
    }
  });
});
