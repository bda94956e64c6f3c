import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Rollout } from '@berth/shared/api/rollouts';
import { webImage } from '../integration/support/images.ts';
import type { AgentProcess } from '../support/agent.ts';
import { dockerAt, sharedSocket } from '../support/docker.ts';
import { startFleet, type Fleet } from '../support/fleet.ts';
import { ask } from '../support/load.ts';
import { startRollout, untilRollout } from '../support/rollouts.ts';
import { webApp } from '../support/templates.ts';

/** A wave's figures beside what was really sent, on real coordinator, agent, Docker and Nginx. */

const docker = dockerAt(sharedSocket());
const TENANTS = ['ada', 'bob', 'cyd'];
let fleet: Fleet;
let image: string;
let agent: AgentProcess;

beforeAll(async () => {
  image = await webImage(docker);
  fleet = await startFleet();
  agent = await fleet.addAgent();
  await fleet.apply('shop', appOf('1'));
  await Promise.all(TENANTS.map((tenant) => fleet.create(tenant, 'shop')));
});
afterAll(() => fleet?.close());

/** While it bakes an agent tells of a tenant's requests every two seconds: a past that is on record at once. */
const appOf = (version: string): string => webApp({ image, bake: '60s', version });

/** So many requests, evenly over the time, to one tenant after another; answers how often each body came. */
async function send(count: number, overMs: number, tenants = TENANTS): Promise<Map<string, number>> {
  const bodies = new Map<string, number>();
  const began = Date.now();
  const asked: Promise<void>[] = [];
  for (let index = 0; index < count; index += 1) {
    await sleep(Math.max(0, began + (index * overMs) / count - Date.now()));
    const tenant = tenants[index % tenants.length] ?? '';
    asked.push(
      ask(fleet.place(tenant)).then(({ status, body }) => {
        const said = status === 200 ? body : `status ${status}`;
        bodies.set(said, (bodies.get(said) ?? 0) + 1);
      }),
    );
  }
  await Promise.all(asked);
  return bodies;
}

const isBaking = (now: Rollout): boolean => now.waves[0]?.state.kind === 'baking';
const isOver = (now: Rollout): boolean => now.state.kind === 'completed';

describe('a wave that bakes for five seconds', () => {
  test('is judged on every request that was sent while it baked', async () => {
    await send(60, 1_000);
    // Nginx keeps lines for a second, the agent reads each second and tells every other.
    await sleep(5_000);
    const to = await fleet.apply('shop', appOf('2'));
    const { rollout } = await startRollout(fleet, {
      app: 'shop',
      to,
      waves: '100%',
      policy: { bakeMs: 5_000, traffic: { minRequests: 45 } },
    });
    await untilRollout(fleet, 'bakes', rollout, isBaking);
    // Until the drain has seen that no connection leads to the old colour, nobody can tell whose a request is.
    await sleep(600);
    const sent = await send(45, 3_600);
    expect(Object.fromEntries(sent)).toEqual({ 2: 45 });
    const over = await untilRollout(fleet, 'is completed', rollout, isOver);
    expect(over.waves[0]?.state).toMatchObject({ kind: 'passed', judged: 'good' });
    expect(over.waves[0]?.traffic).toMatchObject({
      before: { requests: 60 },
      after: { requests: 45, errors: 0 },
      verdict: { kind: 'good' },
    });
  });

  test('shows every request of a tenant that had none before, and does not judge it', async () => {
    await fleet.create('dee', 'shop');
    const to = await fleet.apply('shop', appOf('3'));
    const { rollout } = await startRollout(fleet, {
      app: 'shop',
      to,
      waves: '@dee',
      policy: { bakeMs: 5_000, traffic: { minRequests: 20 } },
    });
    await untilRollout(fleet, 'bakes', rollout, isBaking);
    await sleep(600);
    expect(Object.fromEntries(await send(45, 3_600, ['dee']))).toEqual({ 3: 45 });
    const over = await untilRollout(fleet, 'is completed', rollout, isOver);
    const why = 'there are no requests in the day before to compare with; 45 requests since the move';
    expect(over.waves[0]?.state).toMatchObject({ kind: 'passed', judged: `not judged: ${why}` });
    expect(over.waves[0]?.traffic).toMatchObject({
      before: { requests: 0 },
      after: { requests: 45, errors: 0 },
      verdict: { kind: 'not-judged', why },
    });
  });

  test('counts who asks for a path that the release routes no more, and answers them 404', async () => {
    const compose = appOf('4').replace('health: "${HEALTH:-/}"', 'path: /api, health: /api');
    const to = await fleet.apply('shop', compose);
    const { rollout } = await startRollout(fleet, {
      app: 'shop',
      to,
      waves: '@ada+bob+cyd',
      policy: { bakeMs: 5_000, traffic: { minRequests: 45 } },
    });
    await untilRollout(fleet, 'bakes', rollout, isBaking);
    await sleep(600);
    expect(Object.fromEntries(await send(45, 3_600))).toEqual({ 'status 404': 45 });
    const over = await untilRollout(fleet, 'is completed', rollout, isOver);
    expect(over.waves[0]?.traffic?.after).toMatchObject({ requests: 45, errors: 0 });
    const plain = await fleet.apply('shop', appOf('5'));
    const back = await startRollout(fleet, { app: 'shop', to: plain, waves: '100%', policy: { bakeMs: 0 } });
    await untilRollout(fleet, 'is completed', back.rollout, isOver);
  });

  test('is not judged when its host is gone before it could tell the last of them', async () => {
    const to = await fleet.apply('shop', appOf('6'));
    const { rollout } = await startRollout(fleet, {
      app: 'shop',
      to,
      waves: '100%',
      policy: { bakeMs: 5_000 },
    });
    await untilRollout(fleet, 'bakes', rollout, isBaking);
    await send(90, 1_000);
    await agent.kill();
    const over = await untilRollout(fleet, 'is completed', rollout, isOver);
    const name = (await fleet.api().listHosts({ query: {} })).items[0]?.name;
    expect(over.waves[0]?.state).toMatchObject({
      judged: expect.stringContaining(`the last counts of host ${name} did not come: it is offline`),
    });
    await fleet.restart(agent);
  });
});
