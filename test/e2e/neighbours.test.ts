import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { webImage } from '../integration/support/images.ts';
import { dockerAt, recordContainers, sharedSocket } from '../support/docker.ts';
import { startFleet, type Fleet } from '../support/fleet.ts';
import { ask, startLoad } from '../support/load.ts';
import { openNeighbour } from '../support/neighbour.ts';
import { run } from '../support/processes.ts';
import { nginxMasters } from '../support/slices.ts';
import { webApp } from '../support/templates.ts';

/** Two agents on one machine, each with its own Nginx, table and ranges, and tenants on both. */

const docker = dockerAt(sharedSocket());
let fleet: Fleet;

beforeAll(async () => {
  const image = await webImage(docker);
  const build = fileURLToPath(new URL('../../examples/shop/build.mjs', import.meta.url));
  await run(process.execPath, [
    build,
    '--socket',
    sharedSocket(),
    '--instance',
    'tests',
    '--registry',
    'berth-test',
  ]);
  fleet = await startFleet();
  await fleet.addAgent();
  await fleet.addAgent();
  await fleet.apply('shop', webApp({ image }));
  await fleet.apply(
    'chat',
    `
services:
  web:
    image: berth-test/shop-web:1
    environment: { STORE: "\${BERTH_TENANT}" }
    user: '10001:10001'
    deploy: { resources: { limits: { memory: 128M, cpus: "1.0" }, reservations: { memory: 32M, cpus: "0.01" } } }
    x-berth: { route: { port: 8080, health: /health }, drain: 2s }
x-berth: { bake: 500ms }
`,
  );
});
afterAll(() => fleet?.close());

describe('two agents on one machine', () => {
  test('work beside each other: a deploy on one cuts no connection of any tenant, and needs no reload', async () => {
    const [one, two] = fleet.agents;
    if (one === undefined || two === undefined) throw new Error('two agents were added');
    await Promise.all([
      fleet.create('acme', 'shop', { host: one.host() }),
      fleet.create('lounge', 'chat', { host: one.host() }),
      fleet.create('globex', 'shop', { host: two.host() }),
    ]);
    await Promise.all(['acme', 'lounge', 'globex'].map((tenant) => fleet.untilSettled(tenant, 1)));
    const socket = await openNeighbour(fleet.place('lounge', '/ws'));
    expect(await socket.talk('hello')).toBe('hello');
    const loads = ['acme', 'globex'].map((tenant) => startLoad(fleet.place(tenant)));
    const workersOf = async (): Promise<string> => {
      const [master] = nginxMasters(one.slice.statePrefix);
      const { stdout } = await run('ps', ['-o', 'pid=', '--ppid', String(master)]);
      return stdout;
    };
    const workers = await workersOf();
    const record = await recordContainers(docker, two.name);
    for (const version of ['2', '3']) {
      const changed = await fleet.set('acme', { VERSION: version });
      await fleet.untilSettled('acme', changed.generation);
      await fleet.untilAnswers('acme', version);
    }
    expect(await socket.talk('still here')).toBe('still here');
    expect(socket.state()).toBe('open');
    socket.close();
    expect(await workersOf()).toBe(workers);
    for (const load of loads) expect((await load.stop()).failed).toEqual([]);
    expect(record.events).toEqual([]);
    record.close();
  });

  test('do not touch what belongs to the other when one of them goes and its rules are taken away', async () => {
    const [one, two] = fleet.agents;
    if (one === undefined || two === undefined) throw new Error('two agents were added');
    const load = startLoad(fleet.place('globex'));
    const after = fleet.lastEvent();
    await run('nft', ['delete', 'table', 'inet', `berth_${one.name}`]);
    await fleet.untilAnswers('acme', '3', 5_000);
    await fleet.journal.until(
      'that the rules were restored on the one host only',
      (event) => event.kind === 'host.rules_restored',
      { after },
    );
    await one.kill();
    expect((await ask(fleet.place('acme'))).body).toBe('3');
    const changed = await fleet.set('globex', { VERSION: '2' });
    await fleet.untilSettled('globex', changed.generation);
    expect((await load.stop()).failed).toEqual([]);
    await fleet.restart(one);
    const restored = fleet.journal.events.filter(
      (event) => event.id > after && event.kind === 'host.rules_restored',
    );
    expect(restored.map((event) => event.host)).toEqual([one.host()]);
  });

  test('refuse a domain that a tenant on the other one has', async () => {
    const [one] = fleet.agents;
    const body = { tenant: 'thief', app: 'shop', domains: ['globex.test'], host: one?.host() ?? '' };
    await expect(fleet.api().createTenant({ body })).rejects.toMatchObject({ code: 'domain_taken' });
  });
});
