import { createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CreateRelease, type SignRelease } from '@berth/shared/api/releases';
import { CreateTenant } from '@berth/shared/api/schemas';
import { PlanRollout } from '@berth/shared/api/rollouts';
import { signableOf } from '@berth/shared/compose/signable';
import { parseTemplate } from '@berth/shared/compose/template';
import { DesiredTenant } from '@berth/shared/domain/desired';
import { RolloutPolicy } from '@berth/shared/domain/rollout';
import { keyHint, signRelease, verifyRelease } from '@berth/shared/domain/signature';
import { testServices, type TestServices } from '../support/coordinator.ts';
import { BY, hello } from '../support/samples.ts';

let t: TestServices;
let host: string;
beforeEach(async () => {
  t = await testServices();
  t.registry.digests.set('r.test/web:1', D1);
  host = await t.host();
});
afterEach(async () => {
  await t.close();
});

const D1 = `sha256:${'1'.repeat(64)}`;
const COMPOSE = `
services:
  web:
    image: r.test/web:\${VERSION}
    command: ["/app", "--version=\${VERSION}"]
    environment: { GREETING: "\${GREETING:-hello}", OF: "\${BERTH_TENANT}" }
    env_file: [app.env]
    x-berth: { route: { port: 8080 } }
`;
const ENV = { 'app.env': 'SECRET=hunter2\n' };
const ci = generateKeyPairSync('ed25519').privateKey;

const create = () =>
  t.services.releases.create(
    BY,
    'shop',
    CreateRelease.parse({ compose: COMPOSE, envFiles: ENV, set: { VERSION: '1' } }),
  );
const tenant = (variables: Record<string, string> = {}) =>
  t.services.tenants.create(
    BY,
    CreateTenant.parse({ tenant: 'acme', app: 'shop', domains: ['acme.example.com'], variables }),
  );

/** As a signer makes it from the own files, with what it differs in. */
function signed(
  change: {
    app?: string;
    release?: number;
    compose?: string;
    set?: Record<string, string>;
    image?: string;
  } = {},
  key: KeyObject = ci,
): SignRelease {
  const parsed = parseTemplate({ text: change.compose ?? COMPOSE, envFiles: ENV });
  if (!parsed.ok) throw new Error('not a template');
  const made = signableOf({
    app: change.app ?? 'shop',
    release: change.release ?? 1,
    template: parsed.template,
    set: change.set ?? { VERSION: '1' },
    images: { web: change.image ?? `r.test/web@${D1}` },
  });
  if (!made.ok) throw new Error(JSON.stringify(made.errors));
  const spki = createPublicKey(key).export({ format: 'der', type: 'spki' });
  return { key: 'ci-2026', publicKey: spki.toString('base64'), value: signRelease(key, made.signable) };
}

async function desired(): Promise<DesiredTenant> {
  const { entries } = await t.store.fleet.desiredAll(host);
  return DesiredTenant.parse(JSON.parse(entries[0]?.json ?? 'null'));
}

/** The host says, as it connects, whose releases it runs. */
async function asksFor(releaseSigners: string, releaseKeys = keyHint(signed().publicKey)): Promise<void> {
  const said = hello(host);
  await t.store.fleet.noteConnections([
    {
      kind: 'online',
      host,
      at: 2,
      hello: { ...said, facts: { ...said.facts, releaseSigners, releaseKeys } },
    },
  ]);
}

describe('a signature', () => {
  test('over the same release is kept, shown, on record, and goes with all that is desired from then on', async () => {
    await create();
    const answer = await t.services.releases.sign(BY, 'shop', 1, signed());
    expect(answer).toMatchObject({ app: 'shop', release: 1, signatures: [{ key: 'ci-2026' }] });
    expect(answer.signatures[0]?.fingerprint).toMatch(/^SHA256:[A-Za-z0-9+/]{43}$/);
    expect((await t.services.apps.release('shop', 1)).signatures).toEqual(answer.signatures);
    const [row] = await t.store.audit(undefined, 1);
    expect(row).toMatchObject({
      action: 'release.signed',
      subject: 'shop',
      before: { release: 1, signatures: [] },
      after: { release: 1, signatures: answer.signatures },
    });
    await tenant({ GREETING: 'hi' });
    const entry = await desired();
    expect(entry.signature?.open).toEqual({ web: { environment: ['GREETING', 'OF'], parts: [] } });
    expect(verifyRelease(entry, [{ name: 'mine', key: createPublicKey(ci) }])).toEqual({
      kind: 'signed',
      key: 'mine',
    });
    expect(JSON.stringify(entry.signature).length).toBeLessThan(300);
    // The new signature of the same key takes the place of the old; another stands beside it.
    await t.services.releases.sign(BY, 'shop', 1, signed());
    await t.services.releases.sign(BY, 'shop', 1, { ...signed({}, generateKey()), key: 'ci-2027' });
    expect((await t.services.apps.release('shop', 1)).signatures.map((each) => each.key)).toEqual([
      'ci-2026',
      'ci-2027',
    ]);
  });

  test('by a key that calls itself like another takes away nobody’s', async () => {
    await create();
    await t.services.releases.sign(BY, 'shop', 1, signed());
    const { signatures } = await t.services.releases.sign(BY, 'shop', 1, signed({}, generateKey()));
    expect(signatures.map((each) => each.key)).toEqual(['ci-2026', 'ci-2026']);
    await tenant();
    expect(verifyRelease(await desired(), [{ name: 'mine', key: createPublicKey(ci) }])).toMatchObject({
      kind: 'signed',
    });
  });

  test('over anything else is refused', async () => {
    await create();
    for (const change of [
      { app: 'blog' },
      { release: 2 },
      { set: { VERSION: '2' } },
      { image: `r.test/web@sha256:${'2'.repeat(64)}` },
      { compose: COMPOSE.replace('8080', '8081') },
    ])
      await expect(t.services.releases.sign(BY, 'shop', 1, signed(change))).rejects.toMatchObject({
        code: 'invalid_request',
        message: expect.stringContaining('no signature by ci-2026 of release 1 of shop'),
      });
    const other = signed({}, generateKey());
    await expect(
      t.services.releases.sign(BY, 'shop', 1, { ...signed(), publicKey: other.publicKey }),
    ).rejects.toMatchObject({ code: 'invalid_request' });
    await expect(t.services.releases.sign(BY, 'shop', 9, signed())).rejects.toMatchObject({
      code: 'not_found',
    });
    expect((await t.services.apps.release('shop', 1)).signatures).toEqual([]);
  });

  test('of a release whose images are as they are named is refused', async () => {
    await t.services.apps.apply(BY, 'shop', {
      compose: COMPOSE,
      envFiles: ENV,
      labels: {},
      set: { VERSION: '1' },
    });
    await expect(t.services.releases.sign(BY, 'shop', 1, signed())).rejects.toMatchObject({
      code: 'conflict',
    });
  });
});

describe('on a host that runs signed releases only', () => {
  test('a tenant is not placed with a release that nobody it trusts has signed, and is told what to do', async () => {
    await create();
    await asksFor('ci-2026, ci-2027');
    await expect(tenant()).rejects.toMatchObject({
      code: 'release_not_signed',
      message:
        'Host one runs only releases that are signed by ci-2026, ci-2027, and release 1 of shop is not. Sign it where your keys are with "berth release sign shop 1 -f compose.yaml --set VERSION=… --image-digest web=sha256:… --key ci-2026.key", or use one that is signed.',
    });
    await t.services.releases.sign(BY, 'shop', 1, { ...signed({}, generateKey()), key: 'laptop' });
    await expect(tenant()).rejects.toMatchObject({ code: 'release_not_signed' });
    await t.services.releases.sign(BY, 'shop', 1, signed());
    expect(await tenant()).toMatchObject({ generation: 1 });
  });

  test('a plan of a rollout says how many would fail, and keeps silent once it is signed', async () => {
    await create();
    await t.services.releases.sign(BY, 'shop', 1, signed());
    await tenant();
    const compose = COMPOSE.replace('8080', '8081');
    const body = { compose, envFiles: ENV, set: { VERSION: '1' } };
    await t.services.releases.create(BY, 'shop', CreateRelease.parse(body));
    const policy = RolloutPolicy.parse({ waves: [{ target: { kind: 'share', percent: 100 } }] });
    const plan = async () =>
      (await t.services.rollouts.plan(PlanRollout.parse({ app: 'shop', to: 2, policy }))).warnings;
    expect(await plan()).toEqual([]);
    await asksFor('ci-2026');
    expect(await plan()).toEqual([
      '1 tenant is on a host that runs only signed releases, and no key that it accepts has signed release 2 of shop: it would fail. "berth release sign shop 2 -f compose.yaml --set VERSION=… --image-digest web=sha256:… --key ci.key" signs it.',
    ]);
    await t.services.releases.sign(BY, 'shop', 2, signed({ release: 2, compose }));
    expect(await plan()).toEqual([]);
  });

  test('a variable that would change a signed part is refused before the host does', async () => {
    await create();
    await t.services.releases.sign(BY, 'shop', 1, signed());
    await asksFor('ci-2026');
    await tenant({ GREETING: 'hi' });
    await expect(
      t.services.tenants.change(BY, 'acme', { variables: { VERSION: '2' } }),
    ).rejects.toMatchObject({
      code: 'release_not_signed',
      message: expect.stringContaining('What a release gives with --set cannot be given otherwise'),
    });
    expect(await t.services.tenants.change(BY, 'acme', { variables: { GREETING: 'hello' } })).toMatchObject({
      generation: 2,
    });
    expect(await t.services.tenants.restart(BY, 'acme')).toMatchObject({ generation: 3 });
  });
});

function generateKey(): KeyObject {
  return generateKeyPairSync('ed25519').privateKey;
}
