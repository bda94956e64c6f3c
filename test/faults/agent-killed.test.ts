import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { webImage } from '../integration/support/images.ts';
import type { AgentProcess } from '../support/agent.ts';
import { dockerAt, recordContainers, sharedSocket, type ContainerEvent } from '../support/docker.ts';
import { startFleet, type Fleet } from '../support/fleet.ts';
import { startLoad } from '../support/load.ts';
import { sleeper, webApp } from '../support/templates.ts';

const TENANTS = ['acme', 'globex', 'initech', 'umbrella'] as const;
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
  await nextRelease(1);
  await Promise.all(TENANTS.map((tenant) => fleet.create(tenant, 'shop')));
});
afterAll(async () => {
  record?.close();
  await fleet?.close();
});

/** The next release of the app; it answers with its number. */
const nextRelease = (version: number): Promise<number> =>
  fleet.apply(
    'shop',
    webApp({ image, bake: '500ms', more: sleeper('worker', image), version: `${version}` }),
  );

/** Every kind of step that a move to a release takes, as the agent itself plans it, and what follows the bake. */
async function stepsOfASwitch(release: number): Promise<string[]> {
  const { steps } = await fleet.api().planTenant({ params: { tenant: 'acme' }, body: { release } });
  return [...new Set([...steps.map((step) => step.kind), 'drain', 'containers.stop', 'containers.remove'])];
}

const starts = (tenant: string, generation: number, role: string): number =>
  record.events.filter(
    (each) =>
      each.action === 'start' &&
      each.tenant === tenant &&
      each.generation === generation &&
      each.role === role,
  ).length;

interface Fault {
  tenant: string;
  generation: number;
  point: string;
  release: number;
}

/** One live colour, the release command run once, nothing of an older generation left, nothing started twice. */
async function expectConverged({ tenant, generation, point, release }: Fault): Promise<void> {
  await fleet.untilSettled(tenant, generation);
  await fleet.untilAnswers(tenant, `${release}`);
  const containers = await fleet.containers(tenant);
  const running = containers.filter((each) => each.state === 'running');
  expect(
    running.map((each) => `${each.service} ${each.generation}`),
    point,
  ).toEqual([`web ${generation}`, `worker ${generation}`]);
  expect(starts(tenant, generation, 'release'), `release commands after ${point}`).toBe(1);
  expect(starts(tenant, generation, 'colour'), `containers started after ${point}`).toBe(2);
}

describe('an agent that is killed', () => {
  test('at any named step of a switch leaves one live colour, loses no request, and goes on when it is back', async () => {
    const kinds = await stepsOfASwitch(await nextRelease(2));
    for (const kind of ['preflight', 'image.ensure', 'release.run', 'containers.start', 'containers.probe'])
      expect(kinds).toContain(kind);
    const points = kinds.flatMap((kind) => ['before', 'after', 'saved'].map((when) => `${when}:${kind}`));
    expect(points.length).toBeGreaterThanOrEqual(30);

    const loads = TENANTS.map((tenant) => startLoad(fleet.place(tenant), { connections: 2, pauseMs: 20 }));
    const faults: Fault[] = [];
    // The tenants take turns: while the agent is to die of one of them, the others recover under it, and have done so
    // before their own turn comes again.
    for (const [turn, point] of points.entries()) {
      const tenant = TENANTS[turn % TENANTS.length] ?? 'acme';
      await fleet.restart(agent, { failpoint: `${point}@${tenant}` });
      const next = faults[turn + 1 - TENANTS.length];
      if (next !== undefined) await expectConverged(next);
      const release = await nextRelease(turn + 2);
      const { generation } = await fleet.release(tenant, release);
      expect(await agent.ended(), point).toEqual({ code: null, signal: 'SIGKILL' });
      faults.push({ tenant, generation, point, release });
    }
    await fleet.restart(agent);
    for (const fault of faults.slice(-TENANTS.length)) await expectConverged(fault);
    for (const load of loads) {
      const { failed, requests } = await load.stop();
      expect(failed).toEqual([]);
      expect(requests).toBeGreaterThan(500);
    }
  }, 240_000);

  test('while a tenant is being made is none the worse for it', async () => {
    const more = `${sleeper('cache', image, '    volumes: ["data:/data"]')}\nvolumes: { data: {} }\n`;
    await fleet.apply('kept', webApp({ image, more }));
    for (const [count, point] of [
      'before:network.ensure',
      'after:network.ensure',
      'after:volume.ensure',
      'before:ingress.apply',
      'after:ingress.apply',
      'after:route.switch',
    ].entries()) {
      const tenant = `new-${count}`;
      await fleet.restart(agent, { failpoint: point });
      await fleet.create(tenant, 'kept', { wait: 'created' });
      expect(await agent.ended(), point).toEqual({ code: null, signal: 'SIGKILL' });
      await fleet.restart(agent);
      await fleet.untilSettled(tenant, 1);
      await fleet.untilAnswers(tenant, '1');
      const running = (await fleet.containers(tenant)).filter((each) => each.state === 'running');
      expect(running.map((each) => each.service)).toEqual(['cache', 'web']);
    }
  }, 90_000);
});
