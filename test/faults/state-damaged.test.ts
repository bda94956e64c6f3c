import { readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { webImage } from '../integration/support/images.ts';
import type { AgentProcess } from '../support/agent.ts';
import { dockerAt, recordContainers, sharedSocket } from '../support/docker.ts';
import { startFleet, type Fleet } from '../support/fleet.ts';
import { startLoad } from '../support/load.ts';
import { sleeper, webApp } from '../support/templates.ts';

const TENANTS = ['acme', 'globex'] as const;
let fleet: Fleet;
let agent: AgentProcess;

beforeAll(async () => {
  const image = await webImage(dockerAt(sharedSocket()));
  fleet = await startFleet();
  agent = await fleet.addAgent();
  const more = `${sleeper('cache', image, '    volumes: ["data:/data"]')}\nvolumes: { data: {} }\n`;
  await fleet.apply('shop', webApp({ image, more }));
  await Promise.all(
    TENANTS.map((tenant) => fleet.create(tenant, 'shop', { variables: { VERSION: tenant } })),
  );
  await Promise.all(TENANTS.map((tenant) => fleet.untilSettled(tenant, 1)));
  // Both slots of each status are written.
  for (const tenant of TENANTS) {
    const changed = await fleet.set(tenant, { VERSION: `${tenant} again` });
    await fleet.untilSettled(tenant, changed.generation);
  }
});
afterAll(() => fleet?.close());

const below = (folder: string): string[] =>
  readdirSync(join(agent.stateDir, folder))
    .filter((name) => name.endsWith('.json'))
    .map((name) => join(agent.stateDir, folder, name));

/** What may happen to files while no agent runs, and whether somebody can tell afterwards. */
const DAMAGES: readonly { name: string; told: 'quarantined' | 'silently'; damage: () => void }[] = [
  {
    name: 'a tenant’s desired state cut short',
    told: 'quarantined',
    damage: () => below('desired').forEach((path) => truncateSync(path, 100)),
  },
  {
    name: 'a tenant’s desired state overwritten with garbage',
    told: 'quarantined',
    damage: () => below('desired').forEach((path) => writeFileSync(path, Buffer.alloc(5_000, 0xfe))),
  },
  {
    name: 'the head of the desired state empty',
    told: 'quarantined',
    damage: () => writeFileSync(join(agent.stateDir, 'head.json'), ''),
  },
  {
    name: 'the head of the desired state gone',
    told: 'silently',
    damage: () => rmSync(join(agent.stateDir, 'head.json')),
  },
  {
    name: 'one slot of each status torn',
    told: 'silently',
    damage: () =>
      below('status')
        .filter((path) => path.endsWith('.0.json'))
        .forEach((path) => truncateSync(path, 40)),
  },
  {
    name: 'every status garbage',
    told: 'quarantined',
    damage: () => below('status').forEach((path) => writeFileSync(path, '{"sum":"x"}')),
  },
  {
    name: 'everything lost but the identity',
    told: 'silently',
    damage: () => {
      for (const name of readdirSync(agent.stateDir))
        if (!['identity.json', 'nginx', 'network'].includes(name))
          rmSync(join(agent.stateDir, name), { recursive: true });
    },
  },
  {
    name: 'the files of the network and of Nginx lost',
    told: 'silently',
    damage: () => {
      rmSync(join(agent.stateDir, 'network'), { recursive: true });
      rmSync(join(agent.stateDir, 'nginx', 'live.json'));
    },
  },
];

describe('an agent that finds its state damaged', () => {
  for (const { name, told, damage } of DAMAGES) {
    test(`(${name}) restarts no container, loses no request, and is as before`, async () => {
      const before = await fleet.containers();
      const load = startLoad(fleet.place('acme'), { connections: 2 });
      const record = await recordContainers(dockerAt(sharedSocket()), agent.name);
      const after = fleet.lastEvent();
      const kept = readFileSync(join(agent.stateDir, 'identity.json'), 'utf8');
      await agent.kill();
      const since = Date.now();
      damage();
      await fleet.restart(agent);
      for (const tenant of TENANTS) {
        const { generation } = await fleet.api().showTenant({ params: { tenant } });
        await fleet.untilSettled(tenant, generation, { since });
        await fleet.untilAnswers(tenant, `${tenant} again`);
      }
      if (told === 'quarantined')
        await fleet.journal.until(
          'that a file was set aside',
          (event) => event.kind === 'host.state_quarantined',
          { after },
        );
      const { failed, requests } = await load.stop();
      record.close();
      expect(failed).toEqual([]);
      expect(requests).toBeGreaterThan(20);
      expect(record.events).toEqual([]);
      expect(await fleet.containers()).toEqual(before);
      expect(readFileSync(join(agent.stateDir, 'identity.json'), 'utf8')).toBe(kept);
      const status = await fleet.api().status();
      expect(status.mode).toBe('apply');
    });
  }

  test('still deploys afterwards', async () => {
    const load = startLoad(fleet.place('acme'));
    const changed = await fleet.set('acme', { VERSION: 'after all that' });
    await fleet.untilSettled('acme', changed.generation);
    await fleet.untilAnswers('acme', 'after all that');
    expect((await load.stop()).failed).toEqual([]);
  });
});
