import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { awsMachine, type AwsMachine } from '../fakes/aws-machines.ts';
import { startImds, type ImdsDouble } from '../fakes/imds.ts';
import { agentIn, logOf, type AgentProcess } from '../support/agent.ts';
import { sharedSocket } from '../support/docker.ts';
import { enrolmentWorld, type EnrolmentWorld } from '../support/enrolment.ts';
import { claimSlice, type Slice } from '../support/slices.ts';

let world: EnrolmentWorld;
const cleanups: (() => Promise<void> | void)[] = [];
beforeEach(async () => {
  world = await enrolmentWorld();
});
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  await world.close();
});

/** A real agent on a machine of AWS, with a slice of this one. It does not run yet. */
async function agentOn(machine: AwsMachine): Promise<{ agent: AgentProcess; imds: ImdsDouble }> {
  world.sts.machines.push(machine);
  const imds = await startImds(machine, world.region);
  cleanups.push(imds.close);
  const slice: Slice = await claimSlice();
  const dir = mkdtempSync(slice.statePrefix);
  const agent = agentIn({
    slice,
    dir,
    coordinatorUrl: world.coordinator.url(),
    dockerSocket: sharedSocket(),
    joinToken: () => Promise.resolve('not needed'),
  });
  agent.configure({
    joinTokenFile: null,
    join: { kind: 'aws', pool: 'prod', stsEndpoint: world.sts.url, imdsEndpoint: imds.url },
  });
  cleanups.push(async () => {
    await agent.kill();
    await slice.wipe();
    rmSync(dir, { recursive: true, force: true });
    slice.free();
  });
  return { agent, imds };
}

async function eventually(what: string, check: () => boolean | Promise<boolean>): Promise<void> {
  const end = Date.now() + 30_000;
  while (!(await check())) {
    if (Date.now() > end) throw new Error(`not within 30 s: ${what}`);
    await sleep(50);
  }
}

const online = (host: string): Promise<void> =>
  eventually(`${host} is online`, async () => {
    const one = await world.api().showHost({ params: { host } });
    return one.connection === 'online';
  });

test('an agent enrols, connects, and is the same host after a restart, as long as IMDS says so', async () => {
  const { agent, imds } = await agentOn(awsMachine());
  await agent.start();
  const host = agent.host();
  await online(host);
  expect(statSync(join(agent.stateDir, 'identity.json')).mode & 0o777).toBe(0o600);
  const asked = world.sts.said.length;
  await agent.kill();
  await agent.start();
  await online(host);
  expect(agent.host()).toBe(host);
  // Once enrolled it proves itself by its key; STS is not asked again.
  expect(world.sts.said).toHaveLength(asked);

  await agent.kill();
  await eventually('it is offline', async () => {
    const one = await world.api().showHost({ params: { host } });
    return one.connection === 'offline';
  });
  imds.state = 'off';
  const before = logOf(agent).length;
  const starting = agent.start();
  await eventually('it waits for IMDS', () =>
    logOf(agent, before).includes('cannot show who it is, and waits'),
  );
  expect((await world.api().showHost({ params: { host } })).connection).toBe('offline');
  imds.state = 'up';
  await starting;
  await online(host);
  expect(imds.v1).toBe(0);
  for (const secret of [imds.machine.sessionToken, imds.machine.secretAccessKey])
    expect(logOf(agent)).not.toContain(secret);
});

test('a copy of a running host’s disk becomes a host of its own, and the first one stays connected', async () => {
  const first = await agentOn(awsMachine());
  await first.agent.start();
  await online(first.agent.host());
  const copy = await agentOn(awsMachine());
  mkdirSync(copy.agent.stateDir, { recursive: true });
  for (const name of ['identity.json', 'head.json', 'desired', 'status'])
    if (existsSync(join(first.agent.stateDir, name)))
      cpSync(join(first.agent.stateDir, name), join(copy.agent.stateDir, name), { recursive: true });
  await copy.agent.start();
  expect(copy.agent.host()).not.toBe(first.agent.host());
  await online(copy.agent.host());
  expect(logOf(copy.agent)).toContain('This disk is a copy of another machine’s');
  const aside = readdirSync(copy.agent.stateDir).find((name) =>
    name.startsWith(`of-${first.imds.machine.instance}-`),
  );
  expect(existsSync(join(copy.agent.stateDir, aside ?? '', 'identity.json'))).toBe(true);
  await eventually('people are told', async () => {
    const events = await world.events('host.state_quarantined');
    return events.some(
      (event) => event.host === copy.agent.host() && event.message.includes('is a copy of another'),
    );
  });
  expect((await world.api().showHost({ params: { host: first.agent.host() } })).connection).toBe('online');
  expect(await world.events('host.superseded')).toEqual([]);
});

test('a copy that starts while IMDS is down does not connect, and enrols anew once it knows', async () => {
  const first = await agentOn(awsMachine());
  await first.agent.start();
  await first.agent.kill();
  // The same disk in another machine, whose IMDS takes its time.
  const other = awsMachine();
  world.sts.machines.push(other);
  first.imds.machine = other;
  first.imds.state = 'silent';
  const host = first.agent.host();
  const before = logOf(first.agent).length;
  const starting = first.agent.start();
  starting.catch(() => undefined);
  await eventually('it waits', () => logOf(first.agent, before).includes('cannot show who it is, and waits'));
  first.imds.state = 'up';
  // It ends, since only a start can set aside what is on the disk; whatever keeps it running starts it again.
  expect(await first.agent.ended()).toMatchObject({ code: 1 });
  expect(logOf(first.agent, before)).toContain('the disk is a copy');
  await first.agent.start();
  expect(first.agent.host()).not.toBe(host);
  await online(first.agent.host());
});
