import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { webImage } from '../integration/support/images.ts';
import type { AgentProcess } from '../support/agent.ts';
import { dockerAt, recordContainers, sharedSocket, type ContainerEvent } from '../support/docker.ts';
import { startFleet, type Fleet } from '../support/fleet.ts';
import { startLoad } from '../support/load.ts';
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

const commands = (): number =>
  record.events.filter((each) => each.role === 'release' && each.action === 'start').length;

test('a release command of a forgotten time is not run again: an operator is asked, and the old colour serves', async () => {
  const version = (n: number): Promise<number> =>
    fleet.apply('shop', webApp({ image, version: `${n}`, bake: '500ms' }));
  const first = await version(1);
  await fleet.create('acme', 'shop');
  const moved = await fleet.release('acme', await version(2));
  await fleet.untilSettled('acme', moved.generation);
  expect(commands()).toBe(2);
  const load = startLoad(fleet.place('acme'), { connections: 2, pauseMs: 10 });

  await agent.kill();
  rmSync(join(agent.stateDir, 'status'), { recursive: true });
  const since = Date.now();
  await fleet.restart(agent);
  await fleet.untilSettled('acme', moved.generation, { since });

  // Nothing is left of the first release's containers.
  const back = await fleet.release('acme', first);
  const problem = await fleet.untilTrouble('tenant.blocked', back);
  expect(problem.code).toBe('release_outcome_unknown');
  expect(problem.message).toContain('berth tenant release-outcome acme --succeeded');
  expect(commands()).toBe(2);
  await fleet.untilAnswers('acme', '2');

  await fleet.api().decideRelease({ params: { tenant: 'acme' }, body: { choice: 'succeeded' } });
  await fleet.untilLive(back);
  await fleet.untilAnswers('acme', '1');
  expect(commands()).toBe(2);

  // What comes after is run as ever.
  const next = await fleet.release('acme', await version(3));
  await fleet.untilLive(next);
  expect(commands()).toBe(3);
  expect((await load.stop()).failed).toEqual([]);
}, 90_000);
