import { createPublicKey, generateKeyPairSync, randomUUID, type KeyObject } from 'node:crypto';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { signableOf } from '@berth/shared/compose/signable';
import { parseTemplate } from '@berth/shared/compose/template';
import { DesiredTenant, entryDigest, toggleDigest } from '@berth/shared/domain/desired';
import { signRelease, type ReleaseSignature, type Signable } from '@berth/shared/domain/signature';
import { webImage } from '../integration/support/images.ts';
import { push, startRegistry, type RealRegistry } from '../integration/support/registry.ts';
import type { AgentProcess } from '../support/agent.ts';
import { dockerAt, sharedSocket } from '../support/docker.ts';
import { startFleet, type Fleet } from '../support/fleet.ts';
import { ask } from '../support/load.ts';
import { startRollout, untilRollout } from '../support/rollouts.ts';
import { webApp } from '../support/templates.ts';

/**
 * A host that runs only what CI has signed, and a coordinator that somebody has stolen: whoever holds its database writes
 * into what the host is told to run.
 */

const docker = dockerAt(sharedSocket());
const ci = generateKeyPairSync('ed25519').privateKey;
const thief = generateKeyPairSync('ed25519').privateKey;
const SET = { HEALTH: '/', TAG: '1' };
let fleet: Fleet;
let agent: AgentProcess;
let registry: RealRegistry;
let database: Database.Database;
/** Digests of the image of our own and of one that nobody signed; the registry has both. */
let ours: string;
let evil: string;
let pokes = 0;

beforeAll(async () => {
  registry = await startRegistry();
  const base = await webImage(docker);
  ours = await build(base, '1');
  evil = await build(base, 'evil');
  fleet = await startFleet();
  agent = await fleet.addAgent();
  agent.configure({
    releases: { requireSignature: true, keys: [{ name: 'ci-2026', publicKey: publicOf(ci) }] },
  });
  await fleet.restart(agent);
  database = new Database(join(fleet.dir, 'berth.db'), { timeout: 10_000 });
});
afterAll(async () => {
  database?.close();
  await fleet?.close();
  for (const each of await docker.listImages({ filters: { reference: [`${registry.host}/*`] } }))
    for (const name of each.RepoDigests ?? [])
      if (name.startsWith(registry.host)) await docker.getImage(name).remove({ force: true });
  await registry?.close();
});

async function build(base: string, tag: string): Promise<string> {
  const repo = `berth-test/signed-${randomUUID().slice(0, 8)}`;
  const container = await docker.createContainer({ Image: base, Cmd: ['true'] });
  try {
    await container.commit({ repo, tag: '1', comment: randomUUID() });
  } finally {
    await container.remove();
  }
  try {
    return await push(docker, `${repo}:1`, { host: registry.host, name: 'app', tag });
  } finally {
    await docker.getImage(`${repo}:1`).remove();
  }
}

function publicOf(key: KeyObject): string {
  return createPublicKey(key).export({ format: 'der', type: 'spki' }).toString('base64');
}

const compose = (version: string): string =>
  webApp({ image: `${registry.host}/app:\${TAG}`, version, bake: '500ms' });

async function create(app: string, version: string): Promise<number> {
  const body = { compose: compose(version), set: SET };
  return (await fleet.api().createRelease({ params: { app }, body })).release;
}

/** What CI works out from its own files. */
function signable(app: string, release: number, version: string, digest = ours): Signable {
  const parsed = parseTemplate({ text: compose(version) });
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.errors));
  const images = { web: `${registry.host}/app@${digest}` };
  const made = signableOf({ app, release, template: parsed.template, set: SET, images });
  if (!made.ok) throw new Error(JSON.stringify(made.errors));
  return made.signable;
}

async function sign(app: string, release: number, version: string): Promise<void> {
  const value = signRelease(ci, signable(app, release, version));
  const body = { key: 'ci-2026', publicKey: publicOf(ci), value };
  await fleet.api().signRelease({ params: { app, release }, body });
}

/** Everything that runs here, by image and command. */
async function running(tenant: string): Promise<string[]> {
  const seen = (await fleet.containers(tenant)).filter((each) => each.state === 'running');
  const inspected = await Promise.all(seen.map(({ id }) => docker.getContainer(id).inspect()));
  return inspected.map(({ Config }) => Config.Image);
}

const Row = z.object({ json: z.string() });
const HostRow = z.object({ host: z.string(), revision: z.number(), digest: z.string() });

function current(): DesiredTenant {
  const row = Row.parse(database.prepare("select json from desired where tenant = 'acme'").get());
  return DesiredTenant.parse(JSON.parse(row.json));
}

/** Writes into the stolen database, in the right shape; the host hears of it with the next change of a neighbour. */
async function write(entry: DesiredTenant): Promise<void> {
  const change = database.transaction(() => {
    const before = entryDigest(current());
    const host = HostRow.parse(database.prepare('select host, revision, digest from hosts').get());
    const digest = toggleDigest(toggleDigest(host.digest, before), entryDigest(entry));
    database
      .prepare('update desired set json = ?, digest = ?, revision = ? where tenant = ?')
      .run(JSON.stringify(entry), entryDigest(entry), host.revision + 1, entry.tenant);
    database
      .prepare('update hosts set revision = ?, digest = ? where host = ?')
      .run(host.revision + 1, digest, host.host);
    database
      .prepare('update tenants set generation = ? where tenant = ?')
      .run(entry.generation, entry.tenant);
  });
  // Not to find, when it writes, that the coordinator has written since it read.
  change.immediate();
  pokes += 1;
  const domains = ['beta.test', `beta-${pokes}.test`];
  await fleet.api().changeTenant({ params: { tenant: 'beta' }, body: { domains } });
}

const inWeb = (
  entry: DesiredTenant,
  change: Partial<DesiredTenant['spec']['services'][number]>,
): DesiredTenant => ({
  ...entry,
  generation: entry.generation + 1,
  spec: {
    ...entry.spec,
    services: entry.spec.services.map((each) => (each.name === 'web' ? { ...each, ...change } : each)),
  },
});

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
  expect(await running('acme')).toEqual([`${registry.host}/app@${ours}`]);
  await fleet.create('beta', 'shop');
  const { signature, ...unsigned } = current();
  expect(JSON.stringify(signature).length).toBeLessThan(400);
  expect(JSON.stringify(unsigned).length).toBeLessThan(2_600);
});

describe('a stolen coordinator', () => {
  let good: DesiredTenant;
  beforeEach(async () => {
    good = current();
    expect(await running('acme')).toEqual([`${registry.host}/app@${ours}`]);
  });

  afterEach(async () => {
    await write(good);
    await fleet.untilTenant('is as it was', 'acme', (now) => now.phase === 'settled' && now.problem === null);
  });

  const attempts: [string, (entry: DesiredTenant) => DesiredTenant][] = [
    ['another image', (entry) => inWeb(entry, { image: `${registry.host}/app@${evil}` })],
    ['another command', (entry) => inWeb(entry, { command: ['sh', '-c', 'echo stolen; exec serve'] })],
    ['another entrypoint', (entry) => inWeb(entry, { entrypoint: ['/bin/sh'] })],
    ['another user', (entry) => inWeb(entry, { user: '0:0', profile: 'compatible' })],
    ['a tag in place of the digest', (entry) => inWeb(entry, { image: `${registry.host}/app:evil` })],
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
        const miner = { ...unrouted, name: 'miner', image: `${registry.host}/app@${evil}` };
        const spec = { ...entry.spec, services: [...entry.spec.services, miner] };
        return { ...entry, generation: entry.generation + 1, spec };
      },
    ],
    ['no signature', ({ signature: _none, ...entry }) => inWeb(entry, {})],
    [
      'another template that it signed itself, under the name of the right key',
      (entry) => ({
        ...inWeb(entry, { image: `${registry.host}/app@${evil}` }),
        signature: signatureBy(thief, signable('shop', 1, '1', evil)),
      }),
    ],
    [
      'the signature of another app’s release',
      (entry) => ({
        ...inWeb(entry, { image: `${registry.host}/app@${evil}` }),
        signature: signatureBy(ci, signable('blog', 1, '1', evil)),
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
        ...inWeb(entry, { image: `${registry.host}/app@${evil}` }),
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
      expect((await docker.listImages()).flatMap((each) => each.RepoDigests ?? [])).not.toContain(
        `${registry.host}/app@${evil}`,
      );
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
  expect(await running('acme')).toEqual([`${registry.host}/app@${ours}`]);
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
  expect(await running('acme')).toEqual([`${registry.host}/app@${ours}`]);
});
