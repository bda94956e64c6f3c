import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { webImage } from '../integration/support/images.ts';
import type { AgentProcess } from '../support/agent.ts';
import { dockerAt, recordContainers, sharedSocket, type ContainerEvent } from '../support/docker.ts';
import { ask } from '../support/load.ts';
import { startFleet, type Changed, type Fleet } from '../support/fleet.ts';
import { webApp } from '../support/templates.ts';

let fleet: Fleet;
let agent: AgentProcess;
let image: string;
let record: { events: ContainerEvent[]; close(): void };

beforeAll(async () => {
  const docker = dockerAt(sharedSocket());
  image = await webImage(docker);
  fleet = await startFleet();
  agent = await fleet.addAgent();
  record = await recordContainers(docker, agent.name);
});
afterAll(async () => {
  record?.close();
  await fleet?.close();
});

/** The next release of the app, whose command takes so long. */
const nextRelease = (version: number, command: string, timeout = '60s', replicas = '1'): Promise<number> =>
  fleet.apply(
    'shop',
    webApp({ image, version: `${version}`, bake: '500ms', replicas }).replace(
      'command: ["true"]',
      `command: ["sh", "-c", "${command}"], timeout: ${timeout}`,
    ),
  );

const commands = (tenant: string, action: string): ContainerEvent[] =>
  record.events.filter((each) => each.tenant === tenant && each.role === 'release' && each.action === action);
const runsNow = async (tenant: string): Promise<string[]> =>
  (await fleet.containers(tenant))
    .filter((each) => each.state === 'running')
    .map((each) => `${each.role} ${each.generation}`)
    .sort();

/** A tenant that serves release 1 while the command of release 2 runs. */
async function migrating(
  tenant: string,
  command: string,
  timeout?: string,
  replicas?: string,
): Promise<Changed> {
  await nextRelease(1, 'true', undefined, replicas);
  await fleet.create(tenant, 'shop');
  const changed = await fleet.release(tenant, await nextRelease(2, command, timeout, replicas));
  await expect.poll(() => commands(tenant, 'start').length, { timeout: 20_000 }).toBe(2);
  return changed;
}

const told = (what: string, tenant: string, words: string, after: number) =>
  fleet.journal.until(what, (event) => event.tenant === tenant && event.message.includes(words), { after });

describe('while a release command runs', () => {
  test('a pause waits for it, over the death of the agent, and the old colour serves until then', async () => {
    await migrating('acme', 'sleep 8; echo done');
    const { afterEvent } = await fleet.api().pauseTenant({ params: { tenant: 'acme' } });
    await told(
      'that the pause waits',
      'acme',
      'the pause waits for the release command of release 2',
      afterEvent,
    );
    // Events go ahead of the report that has all of a tenant's steps.
    await expect
      .poll(async () => JSON.stringify(await fleet.api().explainTenant({ params: { tenant: 'acme' } })), {
        timeout: 5_000,
      })
      .toContain('the pause waits for the release command of release 2');
    expect(await runsNow('acme')).toEqual(['colour 1', 'release 2']);
    await fleet.restart(agent);
    expect(await runsNow('acme')).toEqual(['colour 1', 'release 2']);
    await fleet.untilAnswers('acme', '1');

    await fleet.untilTenant('is paused', 'acme', (now) => now.phase === 'paused');
    expect(await runsNow('acme')).toEqual([]);
    const resumed = await fleet.api().resumeTenant({ params: { tenant: 'acme' } });
    await fleet.untilLive({ ...resumed, tenant: 'acme' });
    await fleet.untilAnswers('acme', '2');
    expect(commands('acme', 'start')).toHaveLength(2);
  }, 90_000);

  test('a removal waits for it', async () => {
    await migrating('globex', 'sleep 6; echo done');
    const began = commands('globex', 'start').at(-1)?.at ?? 0;
    const { afterEvent } = await fleet.api().deleteTenant({ params: { tenant: 'globex' } });
    await told('that it waits', 'globex', 'the removal waits for the release command of release', afterEvent);
    expect(await runsNow('globex')).toEqual(['colour 1', 'release 2']);
    await fleet.journal.until('that it is removed', (event) => event.kind === 'tenant.removed', {
      after: afterEvent,
    });
    expect(await fleet.containers('globex')).toEqual([]);
    expect((commands('globex', 'die').at(-1)?.at ?? 0) - began).toBeGreaterThan(5_900);
  }, 60_000);

  test('a newer generation waits for it, over the death of the agent, and it ran once and to its end', async () => {
    await migrating('umbrella', 'sleep 8; echo done');
    const began = commands('umbrella', 'start').at(-1)?.at ?? 0;
    const changed = await fleet.set('umbrella', { VERSION: '2b' });
    await told(
      'that the change waits',
      'umbrella',
      'the change waits for the release command of release',
      changed.afterEvent,
    );
    expect(await runsNow('umbrella')).toEqual(['colour 1', 'release 2']);
    await fleet.restart(agent);
    expect(await runsNow('umbrella')).toEqual(['colour 1', 'release 2']);
    await fleet.untilAnswers('umbrella', '1');

    await fleet.untilLive(changed);
    await fleet.untilAnswers('umbrella', '2b');
    expect(commands('umbrella', 'start')).toHaveLength(2);
    expect((commands('umbrella', 'die').at(-1)?.at ?? 0) - began).toBeGreaterThan(7_900);
  }, 90_000);

  test('visitors are not led to a copy that somebody removes meanwhile', async () => {
    const changed = await migrating('hooli', 'sleep 8; echo done', '60s', '2');
    const copies = (await fleet.containers('hooli')).filter((each) => each.role === 'colour');
    const copy = copies[0];
    if (copy === undefined) throw new Error('it has no containers');
    expect(copies).toHaveLength(2);
    const after = fleet.lastEvent();
    await dockerAt(sharedSocket()).getContainer(copy.id).remove({ force: true });
    await told('that its route is mended', 'hooli', 'lead no visitor to a container that is gone', after);
    for (let count = 0; count < 20; count += 1) {
      const began = Date.now();
      expect(await ask(fleet.place('hooli'))).toMatchObject({ status: 200, body: '1' });
      expect(Date.now() - began).toBeLessThan(1_000);
    }
    expect(await runsNow('hooli')).toEqual(['colour 1', 'release 2']);
    await fleet.untilLive(changed);
    await fleet.untilAnswers('hooli', '2');
    expect(commands('hooli', 'start')).toHaveLength(2);
  }, 90_000);

  test('only its own time ends it: then the pause takes hold', async () => {
    const changed = await migrating('initech', 'sleep 1000', '4s');
    await fleet.api().pauseTenant({ params: { tenant: 'initech' } });
    const problem = await fleet.untilTrouble('tenant.failed', changed);
    expect(problem).toMatchObject({ code: 'release_command_failed' });
    expect(problem.message).toContain('did not end within 4 s');
    await fleet.untilTenant('is paused', 'initech', (now) => now.phase === 'paused');
    expect(await runsNow('initech')).toEqual([]);
  }, 60_000);
});
