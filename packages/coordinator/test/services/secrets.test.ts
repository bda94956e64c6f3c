import { generateKeyPairSync, sign } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { StartRollout } from '@berth/shared/api/rollouts';
import type { SecretPlace } from '@berth/shared/domain/secret';
import { rawPublic } from '@berth/shared/secrets/hpke';
import { openAtHost, SEALING_FACT, sealingFact, sealingText } from '@berth/shared/secrets/sealed';
import { openVault } from '../../src/secrets/vault.ts';
import { createSecretDelivery } from '../../src/services/secret-delivery.ts';
import type { Vault } from '../../src/services/vault.ts';
import { testServices, type TestServices } from '../support/coordinator.ts';
import { BY, hello, report } from '../support/samples.ts';

const COMPOSE = `
secrets: { KEY: , DSN: }
services:
  web:
    image: shop
    environment: { A: "\${A:-1}" }
    secrets: [KEY]
    x-berth: { route: { port: 80 } }
`;
const silent = { debug() {}, info() {}, warn() {}, error() {} };
const value = (text: string) => ({ kind: 'value' as const, value: Buffer.from(text).toString('base64') });

let dir: string;
let vault: Vault;
let t: TestServices;
let host: string;
const sealing = generateKeyPairSync('x25519').privateKey;

/** A host whose agent shows a key that its identity has signed. */
async function sealingHost(name: string): Promise<string> {
  const identity = generateKeyPairSync('ed25519');
  const publicKey = identity.publicKey.export({ format: 'der', type: 'spki' }).toString('base64');
  const { token } = await t.services.hosts.joinToken(BY, { pool: 'default', ttlMs: 60_000 });
  const enrolled = await t.services.hosts.enrol(BY, { token, publicKey, name });
  const shown = rawPublic(sealing).toString('base64');
  const signature = sign(null, Buffer.from(sealingText(enrolled.host, shown)), identity.privateKey);
  const facts = { [SEALING_FACT]: sealingFact(shown, signature.toString('base64')) };
  t.fleet.connected.add(enrolled.host);
  await t.store.fleet.noteConnections([
    { kind: 'online', host: enrolled.host, hello: { ...hello(enrolled.host), facts }, at: 1 },
  ]);
  return enrolled.host;
}

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'berth-secrets-'));
  vault = openVault({ keyFile: join(dir, 'key'), kms: null });
  t = await testServices({ vault });
  host = await sealingHost('one');
  await t.services.apps.apply(BY, 'shop', { compose: COMPOSE, envFiles: {}, labels: {}, set: {} });
});
afterEach(async () => {
  await t.close();
  rmSync(dir, { recursive: true, force: true });
});

const create = (tenant: string, on = host, secrets = { KEY: value(`of ${tenant}`) }) =>
  t.services.tenants.create(BY, {
    tenant,
    app: 'shop',
    domains: [`${tenant}.example.com`],
    variables: {},
    secrets,
    host: on,
    tags: [],
  });

async function placeOf(tenant: string, on = host): Promise<SecretPlace> {
  const desired = await t.store.desiredTenant(on, tenant);
  const ref = desired?.spec.services[0]?.secrets?.[0];
  if (ref === undefined) throw new Error('nothing refers to a secret');
  return { tenant, name: ref.name, version: ref.version, id: ref.id };
}

const deliver = () => createSecretDelivery({ store: t.store, vault, log: silent });

async function boxFor(place: SecretPlace, to = host): Promise<string> {
  const [message] = await deliver()(to, [place]);
  const given = message?.secrets[0]?.given;
  if (given?.kind !== 'sealed') throw new Error(given?.message ?? 'no answer');
  return String(openAtHost(sealing, to, place, given.box));
}

describe('a key file that is not the one', () => {
  test('takes nothing new, which would be lost with it, unless the right one is lost for good', async () => {
    await create('acme');
    const path = join(dir, 'key');
    const right = readFileSync(path);
    rmSync(path);
    const other = join(dir, 'other');
    await openVault({ keyFile: other, kms: null }).current([]);
    writeFileSync(path, readFileSync(other), { mode: 0o600 });
    const refused = { code: 'secret_unavailable', message: expect.stringContaining('--despite-lost-keys') };
    await expect(t.services.secrets.set(BY, 'acme', { KEY: value('new') })).rejects.toMatchObject(refused);
    await expect(create('globex')).rejects.toMatchObject(refused);
    expect((await t.store.secretsOf('acme')).map((each) => each.version)).toEqual([1]);
    await t.services.secrets.set(BY, 'acme', { KEY: value('new') }, 'despite');
    expect((await t.store.secretsOf('acme')).map((each) => each.version)).toEqual([2, 1]);
    writeFileSync(path, right, { mode: 0o600 });
    expect(await boxFor(await placeOf('acme'))).toBe('of acme');
  });
});

describe('what is kept of a secret', () => {
  test('is never its value: not in the database, the audit, events or what is desired', async () => {
    await create('acme', host, { KEY: value('hunter2-hunter2') });
    await t.services.secrets.set(BY, 'acme', { KEY: value('hunter3-hunter3') });
    const all = JSON.stringify([
      await t.store.secretsOf('acme'),
      await t.store.secretsNotUnder('', null, 100),
      await t.store.audit(undefined, 100),
      await t.store.events({}, undefined, 100),
      await t.store.desiredTenant(host, 'acme'),
      await t.services.tenants.show('acme'),
      await t.services.questions.config('acme'),
      await t.services.secrets.list('acme'),
    ]);
    for (const text of ['hunter2-hunter2', 'hunter3-hunter3'])
      for (const form of [text, Buffer.from(text).toString('base64'), Buffer.from(text).toString('hex')])
        expect(all).not.toContain(form);
  });

  test('is one audit record for each setting, with names and versions', async () => {
    await create('acme');
    await t.services.secrets.set(BY, 'acme', {
      KEY: value('x'),
      DSN: { kind: 'reference', from: 'aws-ssm:/dsn' },
    });
    const [set] = await t.store.audit(undefined, 1);
    expect(set).toMatchObject({
      action: 'secret.set',
      subject: 'acme',
      after: {
        secrets: [
          { name: 'KEY', version: 2 },
          { name: 'DSN', version: 1, from: 'aws-ssm:/dsn' },
        ],
      },
    });
  });

  test('goes with the tenant, and its successor of the same name has another id', async () => {
    await create('acme');
    const before = await placeOf('acme');
    await t.services.tenants.remove(BY, 'acme');
    await t.store.fleet.confirmTombstone(host, 'acme', 1, [], 2);
    await t.store.fleet.finishRemoval(host, 'acme', 1, 3);
    expect(await t.store.secretsOf('acme')).toEqual([]);
    await create('acme');
    expect(await placeOf('acme')).toMatchObject({ version: 1, id: expect.not.stringMatching(before.id) });
  });

  test('has ten versions at most besides those in use', async () => {
    await create('acme');
    for (let count = 0; count < 14; count += 1)
      await t.services.secrets.set(BY, 'acme', { KEY: value(`${count}`) });
    const [key] = await t.services.secrets.list('acme');
    expect(key?.versions.map(({ version }) => version)).toEqual([15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 1]);
    expect(await boxFor(await placeOf('acme'))).toBe('of acme');
  });
});

describe('a changed secret', () => {
  test('is pending until the generation that has it serves', async () => {
    await create('acme');
    const state = async () => (await t.services.secrets.list('acme'))[0]?.state;
    const say = (generation: number, live: number | null) =>
      t.store.fleet.ingest([
        {
          host,
          at: generation * 10 + (live ?? 0),
          tenants: [report('acme', { generation, live, at: generation * 10 + (live ?? 0) })],
          events: [],
          report: null,
          traffic: [],
        },
      ]);
    expect(await state()).toBe('pending');
    await say(1, 1);
    expect(await state()).toBe('live');
    await t.services.secrets.set(BY, 'acme', { KEY: value('next') });
    expect(await state()).toBe('pending');
    const changed = await t.services.tenants.change(BY, 'acme', {});
    expect(changed).toMatchObject({ result: 'changed', generation: 2 });
    expect(await state()).toBe('pending');
    await say(2, 2);
    expect(await state()).toBe('live');
    expect(await boxFor(await placeOf('acme'))).toBe('next');
  });

  test('that two set at once becomes two versions', async () => {
    await create('acme');
    const sets = await Promise.all(
      ['a', 'b', 'c'].map((text) => t.services.secrets.set(BY, 'acme', { KEY: value(text) })),
    );
    expect(new Set(sets.map((each) => each.secrets[0]?.version))).toEqual(new Set([2, 3, 4]));
  });

  test('that nobody refers to is unused, and may be removed; one in use may not', async () => {
    await create('acme');
    await t.services.secrets.set(BY, 'acme', { DSN: value('x') });
    expect((await t.services.secrets.list('acme')).map(({ name, state }) => [name, state])).toEqual([
      ['DSN', 'unused'],
      ['KEY', 'pending'],
    ]);
    expect(await t.services.secrets.remove(BY, 'acme', 'DSN')).toEqual({ versions: 1 });
    await expect(t.services.secrets.remove(BY, 'acme', 'DSN')).rejects.toMatchObject({ code: 'not_found' });
    await expect(t.services.secrets.remove(BY, 'acme', 'KEY')).rejects.toThrow(/in use by web/);
  });
});

describe('a tenant that needs a secret', () => {
  test('is refused without one, and leaves nothing behind', async () => {
    await expect(
      t.services.tenants.create(BY, {
        tenant: 'acme',
        app: 'shop',
        domains: ['acme.example.com'],
        variables: {},
        secrets: { DSN: value('x') },
        tags: [],
      }),
    ).rejects.toThrow(/secret `KEY` has no value/);
    expect(await t.store.secretsOf('acme')).toEqual([]);
  });

  test('is not put on a host that has shown no key, or one that it has not signed', async () => {
    const old = await t.host('old');
    await expect(create('acme', old)).rejects.toThrow(/host old has shown no key to seal it to/);
    const liar = await t.host('liar');
    const facts = { [SEALING_FACT]: sealingFact(rawPublic(sealing).toString('base64'), 'AAAA') };
    await t.store.fleet.noteConnections([
      { kind: 'online', host: liar, hello: { ...hello(liar), facts }, at: 2 },
    ]);
    await expect(create('acme', liar)).rejects.toMatchObject({ code: 'conflict' });
  });
});

describe('a host that asks for secrets', () => {
  test('gets what is desired on it, sealed to its key', async () => {
    await create('acme');
    expect(await boxFor(await placeOf('acme'))).toBe('of acme');
  });

  test('gets nothing of a tenant that is elsewhere, of another version, or of what nothing refers to', async () => {
    const other = await sealingHost('two');
    await create('acme');
    await create('globex', other);
    await t.services.secrets.set(BY, 'acme', { KEY: value('next'), DSN: value('x') });
    const infos = await t.store.secretsOf('acme');
    for (const { tenant, name, version, id } of infos.filter(
      (each) => each.version !== 1 || each.name !== 'KEY',
    ))
      await expect(boxFor({ tenant, name, version, id })).rejects.toThrow(
        /Nothing that is desired on this host/,
      );
    await expect(boxFor(await placeOf('globex', other))).rejects.toThrow(/Nothing that is desired/);
    await expect(boxFor(await placeOf('acme'), other)).rejects.toThrow(/Nothing that is desired/);
    await expect(boxFor({ ...(await placeOf('acme')), id: 'f'.repeat(16) })).rejects.toThrow(/Nothing/);
    await expect(boxFor({ ...(await placeOf('acme')), tenant: 'nobody' })).rejects.toThrow(/Nothing/);
  });

  test('is told by name what cannot be opened', async () => {
    await create('acme');
    rmSync(join(dir, 'key'));
    await expect(boxFor(await placeOf('acme'))).rejects.toThrow(
      /KEY \(version 1\) of tenant acme cannot be opened/,
    );
    expect(await t.services.secrets.keys()).toMatchObject({
      current: null,
      problem: expect.stringMatching(/is gone/),
      keys: [{ versions: 1, problem: expect.stringMatching(/is gone/) }],
    });
  });
});

describe('another key', () => {
  test('wraps every version, and hosts get the same values', async () => {
    await create('acme');
    await t.services.secrets.set(BY, 'acme', { DSN: value('x') });
    const place = await placeOf('acme');
    const before = await t.services.secrets.keys();
    const done = await t.services.secrets.rotateKey(BY);
    expect(done).toMatchObject({ before: before.current, rewrapped: 2, failed: [] });
    expect((await t.services.secrets.keys()).keys).toEqual([
      { key: done.current, versions: 2, problem: null },
    ]);
    expect(await boxFor(place)).toBe('of acme');
    const [audit] = await t.store.audit(undefined, 1);
    expect(audit).toMatchObject({ action: 'secret-key.rotated', after: { key: done.current } });
    // Twice, and nothing that is in use was wrapped with the first one any more.
    await t.services.secrets.rotateKey(BY);
    expect(await boxFor(place)).toBe('of acme');
  });
});

describe('a release that begins to ask for a secret', () => {
  test('does not reach a host that has shown no key, by no way, and leaves the tenant as it is', async () => {
    const old = await t.host('old');
    await t.services.apps.apply(BY, 'plain', {
      compose: 'services: { web: { image: a, x-berth: { route: { port: 80 } } } }',
      envFiles: {},
      labels: {},
      set: {},
    });
    const by = {
      tenant: 'acme',
      app: 'plain',
      domains: ['acme.example.com'],
      variables: {},
      host: old,
      tags: [],
    };
    await t.services.tenants.create(BY, by);
    await t.services.secrets.set(BY, 'acme', { KEY: value('x') });
    const { release } = await t.services.apps.apply(BY, 'plain', {
      compose: COMPOSE,
      envFiles: {},
      labels: {},
      set: {},
    });
    await expect(t.services.tenants.change(BY, 'acme', { release })).rejects.toThrow(/has shown no key/);
    const started = await t.services.rollouts.start(
      BY,
      StartRollout.parse({
        app: 'plain',
        to: release,
        policy: { waves: [{ target: { kind: 'share', percent: 100 } }] },
      }),
    );
    await t.turn();
    await t.turn();
    const rows = await t.services.rollouts.tenants(started.rollout, {}, { limit: 10 });
    expect(JSON.stringify(rows)).toMatch(/has shown no key/);
    expect((await t.store.tenant('acme'))?.release).toBe(1);
  });
});
