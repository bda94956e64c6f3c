import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { webImage } from '../integration/support/images.ts';
import type { AgentProcess } from '../support/agent.ts';
import { dockerAt, recordContainers, sharedSocket, type ContainerEvent } from '../support/docker.ts';
import { startFleet, type Fleet } from '../support/fleet.ts';
import { ask, startLoad } from '../support/load.ts';
import { sleeper, webApp } from '../support/templates.ts';

/** What an operator does to a tenant in its life, on a real coordinator, agent, Docker and Nginx. */

const docker = dockerAt(sharedSocket());
let fleet: Fleet;
let agent: AgentProcess;
let image: string;
let record: { events: ContainerEvent[]; close(): void };

beforeAll(async () => {
  image = await webImage(docker);
  fleet = await startFleet();
  agent = await fleet.addAgent();
  record = await recordContainers(docker, agent.name);
  const more = `${sleeper('worker', image)}
${sleeper('scheduler', image, '    x-berth: { strategy: recreate }')}
${sleeper('store', image, '    environment: { TUNING: "${TUNING:-1}" }\n    volumes: ["data:/data"]')}
volumes: { data: {} }
`;
  await fleet.apply('shop', webApp({ image, more, bake: '500ms', replicas: '${REPLICAS:-1}' }));
  await fleet.create('acme', 'shop');
  await fleet.untilSettled('acme', 1);
});
afterAll(async () => {
  record?.close();
  await fleet?.close();
});

const running = async (service: string): Promise<string[]> =>
  (await fleet.containers('acme'))
    .filter((each) => each.state === 'running' && each.service === service)
    .map((each) => each.name);

const only = async (service: string): Promise<string> => {
  const [name, ...others] = await running(service);
  expect(others).toEqual([]);
  if (name === undefined) throw new Error(`no ${service} runs`);
  return name;
};

/** A command in a container, and what it printed. */
async function inside(name: string, ...command: string[]): Promise<string> {
  const exec = await docker.getContainer(name).exec({ Cmd: command, AttachStdout: true, Tty: true });
  const stream = await exec.start({ Tty: true });
  let text = '';
  stream.on('data', (chunk: Buffer) => (text += chunk.toString('utf8')));
  await new Promise((resolve) => stream.on('end', resolve));
  return text;
}

const addressOf = async (name: string): Promise<string> => {
  const { NetworkSettings } = await docker.getContainer(name).inspect();
  return Object.values(NetworkSettings.Networks)[0]?.IPAddress ?? '';
};

/** How many copies of a service ran at once at most, as Docker's events tell. */
function mostAtOnce(service: string): number {
  let now = 0;
  let most = 0;
  for (const event of record.events.filter((each) => each.service === service && each.tenant === 'acme')) {
    if (event.action === 'start') now += 1;
    if (event.action === 'die') now -= 1;
    most = Math.max(most, now);
  }
  return most;
}

describe('a tenant', () => {
  test('is paused behind a maintenance page and comes back with the same containers', async () => {
    const before = (await fleet.containers('acme')).map((each) => each.id);
    const paused = await fleet.api().pauseTenant({ params: { tenant: 'acme' } });
    await fleet.journal.until('that it is paused', (event) => event.kind === 'tenant.paused', {
      after: paused.afterEvent,
    });
    const answer = await ask(fleet.place('acme'));
    expect(answer.status).toBe(503);
    expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0);
    expect(answer.body).toContain('maintenance');
    expect((await fleet.containers('acme')).filter((each) => each.state === 'running')).toEqual([]);

    const resumed = await fleet.api().resumeTenant({ params: { tenant: 'acme' } });
    await fleet.untilTenant('serves again', 'acme', (tenant) => tenant.phase === 'settled');
    expect(resumed.generation).toBe(paused.generation);
    await fleet.untilAnswers('acme', '1');
    expect((await fleet.containers('acme')).map((each) => each.id)).toEqual(before);
  });

  test('is restarted into new containers without a lost request, its store left alone', async () => {
    const load = startLoad(fleet.place('acme'));
    const store = await only('store');
    const web = await only('web');
    const changed = await fleet.api().restartTenant({ params: { tenant: 'acme' } });
    await fleet.untilSettled('acme', changed.generation);
    expect((await load.stop()).failed).toEqual([]);
    expect(await only('store')).toBe(store);
    expect(await only('web')).not.toBe(web);
  });

  test('has its store replaced in place, with its data, only when the store’s own part of the template changed', async () => {
    const store = await only('store');
    await inside(store, 'sh', '-c', 'echo precious > /data/thing');
    const changed = await fleet.set('acme', { TUNING: '2' });
    await fleet.untilSettled('acme', changed.generation);
    const next = await only('store');
    expect(next).not.toBe(store);
    expect(await inside(next, 'cat', '/data/thing')).toContain('precious');
    expect(mostAtOnce('store')).toBe(1);
  });

  test('has names that lead to the own generation, and to the store from everywhere', async () => {
    const changed = await fleet.set('acme', { VERSION: 'names' });
    await fleet.journal.until(
      'the switch',
      (event) => event.kind === 'tenant.live' && event.generation === changed.generation,
      { after: changed.afterEvent },
    );
    const hostsOf = async (name: string): Promise<Map<string, string>> => {
      const text = await inside(name, 'cat', '/etc/hosts');
      return new Map(
        text.split(/\r?\n/).flatMap((line) => {
          const [address = '', ...names] = line.split(/\s+/);
          return names.map((each) => [each, address] as const);
        }),
      );
    };
    await fleet.untilSettled('acme', changed.generation);
    const [web, worker, store] = [await only('web'), await only('worker'), await only('store')];
    expect(web).toContain(`-g${changed.generation}-`);
    expect(worker).toContain(`-g${changed.generation}-`);
    const seen = await hostsOf(worker);
    expect(seen.get('web')).toBe(await addressOf(web));
    expect(seen.get('store')).toBe(await addressOf(store));
    expect((await hostsOf(web)).get('store')).toBe(await addressOf(store));
    expect((await hostsOf(store)).has('web')).toBe(false);
  });

  test('never runs twice what must not, over all that was done to it', async () => {
    expect(record.events.filter((each) => each.service === 'scheduler').length).toBeGreaterThan(4);
    expect(mostAtOnce('scheduler')).toBe(1);
    expect(mostAtOnce('web')).toBe(2);
  });

  test('goes to three replicas and back to one without a lost request', async () => {
    const load = startLoad(fleet.place('acme'));
    const three = await fleet.set('acme', { REPLICAS: '3' });
    await fleet.untilSettled('acme', three.generation);
    expect((await running('web')).length).toBe(3);
    const one = await fleet.set('acme', { REPLICAS: null });
    await fleet.untilSettled('acme', one.generation);
    expect((await running('web')).length).toBe(1);
    expect((await load.stop()).failed).toEqual([]);
  });

  test('moves to another domain without new containers', async () => {
    const before = (await fleet.containers('acme')).map((each) => each.id);
    const changed = await fleet
      .api()
      .changeTenant({ params: { tenant: 'acme' }, body: { domains: ['shop.acme.test', 'acme.test'] } });
    await expect
      .poll(async () => (await ask({ ...fleet.place('acme'), domain: 'shop.acme.test' })).status, {
        timeout: 10_000,
      })
      .toBe(200);
    expect((await ask(fleet.place('acme'))).status).toBe(200);
    await fleet.api().changeTenant({ params: { tenant: 'acme' }, body: { domains: ['shop.acme.test'] } });
    await expect.poll(async () => (await ask(fleet.place('acme'))).status, { timeout: 10_000 }).toBe(421);
    expect((await ask({ ...fleet.place('acme'), domain: 'shop.acme.test' })).status).toBe(200);
    expect((await fleet.containers('acme')).map((each) => each.id)).toEqual(before);
    expect((await fleet.api().showTenant({ params: { tenant: 'acme' } })).generation).toBe(
      changed.generation,
    );
  });

  test('has a container that was removed by hand brought back', async () => {
    const web = await only('web');
    const after = fleet.lastEvent();
    await docker.getContainer(web).remove({ force: true });
    await fleet.journal.until('that it was healed', (event) => event.kind === 'tenant.healed', { after });
    expect(await only('web')).toBe(web);
    await expect
      .poll(async () => (await ask({ ...fleet.place('acme'), domain: 'shop.acme.test' })).status, {
        timeout: 10_000,
      })
      .toBe(200);
  });

  test('is deleted only after the coordinator has confirmed the list, and its volumes stay', async () => {
    const volumes = async (): Promise<string[]> => {
      const filters = JSON.stringify({ label: [`berth.agent=${agent.name}`] });
      return (await docker.listVolumes({ filters })).Volumes.map((each) => each.Name);
    };
    const kept = await volumes();
    expect(kept.length).toBe(1);
    // While nobody is there to confirm, nothing is stopped.
    const changed = await fleet.api().deleteTenant({ params: { tenant: 'acme' } });
    await fleet.journal.until('that it is removed', (event) => event.kind === 'tenant.removed', {
      after: changed.afterEvent,
    });
    await expect.poll(async () => await fleet.containers('acme'), { timeout: 10_000 }).toEqual([]);
    expect((await ask({ ...fleet.place('acme'), domain: 'shop.acme.test' })).status).toBe(421);
    expect(await volumes()).toEqual(kept);
    const networks = await docker.listNetworks({ filters: { label: [`berth.agent=${agent.name}`] } });
    expect(networks).toEqual([]);
    await expect
      .poll(async () => (await fleet.api().listTenants({ query: {} })).items.length, { timeout: 10_000 })
      .toBe(0);

    await fleet.create('acme', 'shop');
    expect(await inside(await only('store'), 'cat', '/data/thing')).toContain('precious');
  });
});
