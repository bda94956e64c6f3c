import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { DesiredTenant } from '@berth/shared/domain/desired';
import { signRelease, type ReleaseSignature, type Signable } from '@berth/shared/domain/signature';
import type { AgentProcess } from '../support/agent.ts';
import { dockerAt, sharedSocket } from '../support/docker.ts';
import { startFleet, type Fleet } from '../support/fleet.ts';
import { ask } from '../support/load.ts';
import { startRollout, untilRollout } from '../support/rollouts.ts';
import { inWeb, publicOf, startSignedApp, stolenDatabase } from './support/signed-app.ts';

/**
 * A host that runs only what CI has signed, and a coordinator that somebody has stolen: whoever holds its database writes
 * into what the host is told to run.
 */

const docker = dockerAt(sharedSocket());
const ci = generateKeyPairSync('ed25519').privateKey;
const thief = generateKeyPairSync('ed25519').privateKey;
let fleet: Fleet;
let agent: AgentProcess;
let app: Awaited<ReturnType<typeof startSignedApp>>;
let stolen: ReturnType<typeof stolenDatabase>;
let pokes = 0;

beforeAll(async () => {
  app = await startSignedApp(docker);
  fleet = await startFleet();
  agent = await fleet.addAgent();
  agent.configure({
    releases: { requireSignature: true, keys: [{ name: 'ci-2026', publicKey: publicOf(ci) }] },
  });
  await fleet.restart(agent);
  stolen = stolenDatabase(join(fleet.dir, 'berth.db'));
});
afterAll(async () => {
  stolen?.close();
  await fleet?.close();
  await app?.close();
});

const create = (name: string, version: string): Promise<number> => app.create(fleet.api(), name, version);
const sign = (name: string, release: number, version: string): Promise<void> =>
  app.sign(fleet.api(), { name: 'ci-2026', key: ci }, { app: name, release, version });

/** Everything that runs here, by image and command. */
async function running(tenant: string): Promise<string[]> {
  const seen = (await fleet.containers(tenant)).filter((each) => each.state === 'running');
  const inspected = await Promise.all(seen.map(({ id }) => docker.getContainer(id).inspect()));
  return inspected.map(({ Config }) => Config.Image);
}

async function write(entry: DesiredTenant): Promise<void> {
  stolen.write(entry);
  pokes += 1;
  const domains = ['beta.test', `beta-${pokes}.test`];
  await fleet.api().changeTenant({ params: { tenant: 'beta' }, body: { domains } });
}

const signatureBy = (key: KeyObject, made: Signable, name = 'ci-2026'): ReleaseSignature => ({
  open: made.open,
  by: [{ key: name, value: signRelease(key, made) }],
});

test('a signed release runs with a tenant’s own values; one that nobody signed is refused before it is placed', async () => {
  expect(await create('shop', '1')).toBe(1);
  await expect(fleet.create('acme', 'shop')).rejects.toMatchObject({
    code: 'release_not_signed',
    message: expect.stringContaining('runs only releases that are signed by ci-2026'),
  });
  await sign('shop', 1, '1');
  await fleet.create('acme', 'shop', { variables: { VERSION: 'own', MEMORY: '16M' } });
  expect((await ask(fleet.place('acme'))).body).toBe('own');
  expect(await running('acme')).toEqual([app.ours]);
  await fleet.create('beta', 'shop');
  const { signature, ...unsigned } = stolen.current('acme');
  expect(JSON.stringify(signature).length).toBeLessThan(400);
  expect(JSON.stringify(unsigned).length).toBeLessThan(2_600);
});

describe('a stolen coordinator', () => {
  let good: DesiredTenant;
  beforeEach(async () => {
    good = stolen.current('acme');
    expect(await running('acme')).toEqual([app.ours]);
  });

  afterEach(async () => {
    await write(good);
    await fleet.untilTenant('is as it was', 'acme', (now) => now.phase === 'settled' && now.problem === null);
  });

  const attempts: [string, (entry: DesiredTenant) => DesiredTenant][] = [
    ['another image', (entry) => inWeb(entry, { image: app.evil })],
    ['another command', (entry) => inWeb(entry, { command: ['sh', '-c', 'echo stolen; exec serve'] })],
    ['another entrypoint', (entry) => inWeb(entry, { entrypoint: ['/bin/sh'] })],
    ['another user', (entry) => inWeb(entry, { user: '0:0', profile: 'compatible' })],
    ['a tag in place of the digest', (entry) => inWeb(entry, { image: `${app.host}/app:evil` })],
    [
      'a variable that was not there',
      (entry) =>
        inWeb(entry, { environment: { ...entry.spec.services[0]?.environment, LD_PRELOAD: '/tmp/x' } }),
    ],
    [
      'another release command',
      (entry) => ({
        ...inWeb(entry, {}),
        spec: { ...entry.spec, release: { service: 'web', command: ['sh'], timeoutMs: 1000 } },
      }),
    ],
    [
      'one more service',
      (entry) => {
        const [web] = entry.spec.services;
        if (web === undefined) throw new Error('no service');
        const { route: _route, ...unrouted } = web;
        const miner = { ...unrouted, name: 'miner', image: app.evil };
        const spec = { ...entry.spec, services: [...entry.spec.services, miner] };
        return { ...entry, generation: entry.generation + 1, spec };
      },
    ],
    ['no signature', ({ signature: _none, ...entry }) => inWeb(entry, {})],
    [
      'another template that it signed itself, under the name of the right key',
      (entry) => ({
        ...inWeb(entry, { image: app.evil }),
        signature: signatureBy(thief, app.signable('shop', 1, '1', app.evilDigest)),
      }),
    ],
    [
      'the signature of another app’s release',
      (entry) => ({
        ...inWeb(entry, { image: app.evil }),
        signature: signatureBy(ci, app.signable('blog', 1, '1', app.evilDigest)),
      }),
    ],
    [
      'wider openings',
      (entry) => ({
        ...inWeb(entry, { user: '0:0' }),
        signature: {
          by: entry.signature?.by ?? [],
          open: { ...entry.signature?.open, web: { environment: ['PATH'], parts: ['limits', 'labels'] } },
        },
      }),
    ],
    [
      'another image in the clothes of the generation that serves',
      (entry) => ({
        ...inWeb(entry, { image: app.evil }),
        generation: entry.generation,
      }),
    ],
  ];

  test.each(attempts)(
    'that asks for %s gets nothing started, and the old colour serves on',
    async (_what, change) => {
      const before = (await fleet.containers('acme')).map((each) => each.id).sort();
      await write(DesiredTenant.parse(change(good)));
      const told = await fleet.untilTenant(
        'says why',
        'acme',
        (now) => now.phase === 'failed' && now.problem?.code === 'release_not_signed',
      );
      expect(told.problem?.message).toMatch(/^release 1 of shop /);
      expect((await ask(fleet.place('acme'))).body).toBe('own');
      expect((await fleet.containers('acme')).map((each) => each.id).sort()).toEqual(before);
      expect(await app.pulled(app.evil)).toEqual([]);
    },
  );

  test('is named by explain with the release, the app and the key', async () => {
    const { signature: _none, ...unsigned } = good;
    await write(inWeb(unsigned, {}));
    await fleet.untilTenant('says why', 'acme', (now) => now.phase === 'failed');
    const explained = await fleet.api().explainTenant({ params: { tenant: 'acme' } });
    expect(explained.verdict).toContain(
      'release 1 of shop is not signed by a key that this host accepts (ci-2026)',
    );
    expect(explained.verdict).toContain('still serves');
  });
});

test('a rollout to a release that nobody signed fails at its first tenant and goes back', async () => {
  expect(await create('shop', '2')).toBe(2);
  const { rollout } = await startRollout(fleet, {
    app: 'shop',
    to: 2,
    waves: '100%',
    policy: { onFailure: 'rollback' },
  });
  const ended = await untilRollout(fleet, 'is over', rollout, (now) =>
    ['failed', 'rolled-back', 'aborted', 'paused'].includes(now.state.kind),
  );
  expect(ended.state.kind).not.toBe('completed');
  await fleet.untilTenant('is back', 'acme', (now) => now.release === 1 && now.phase === 'settled');
  expect((await ask(fleet.place('acme'))).body).toBe('own');
  expect(await running('acme')).toEqual([app.ours]);
});

test('when its key is taken off the list a tenant runs on and comes back, and nothing new starts', async () => {
  const keys = [{ name: 'ci-2027', publicKey: publicOf(thief) }];
  agent.configure({ releases: { requireSignature: true, keys } });
  await fleet.restart(agent);
  const [container] = await fleet.containers('acme');
  await docker.getContainer(container?.id ?? '').remove({ force: true });
  await fleet.untilAnswers('acme', 'own');
  await expect(fleet.api().restartTenant({ params: { tenant: 'acme' } })).rejects.toMatchObject({
    code: 'release_not_signed',
  });
  expect(await running('acme')).toEqual([app.ours]);
});
