import { createPublicKey, createPrivateKey, generateKeyPairSync } from 'node:crypto';
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { SignRelease } from '@berth/shared/api/releases';
import { signableOf } from '@berth/shared/compose/signable';
import { parseTemplate } from '@berth/shared/compose/template';
import { keyFingerprint, verifyRelease } from '@berth/shared/domain/signature';
import { fakeApi, type Answers } from './support/fake-api.ts';
import { run } from './support/run.ts';

const D1 = `sha256:${'1'.repeat(64)}`;
const D2 = `sha256:${'2'.repeat(64)}`;
const COMPOSE = `name: shop
services:
  web:
    image: r.test/web:\${VERSION}
    command: ["/app", "\${VERSION}"]
    environment: { GREETING: "\${GREETING:-hello}" }
    env_file: [app.env]
    x-berth: { route: { port: 8080 } }
`;
const ENV = { 'app.env': 'A=1\n' };
const pin = { image: 'r.test/web:1', digest: D1, reference: `r.test/web@${D1}` };

let folder: string;
let fake: Awaited<ReturnType<typeof fakeApi>>;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'berth-sign-'));
  writeFileSync(join(folder, 'compose.yaml'), COMPOSE);
  writeFileSync(join(folder, 'app.env'), ENV['app.env']);
  const { privateKey } = generateKeyPairSync('ed25519');
  writeFileSync(join(folder, 'ci-2026.key'), privateKey.export({ format: 'pem', type: 'pkcs8' }), {
    mode: 0o600,
  });
  fake = await fakeApi(answers());
});
afterEach(async () => {
  await fake.close();
  rmSync(folder, { recursive: true });
});

function answers(change: Partial<typeof pin> = {}): Answers {
  const pins = { web: { ...pin, ...change } };
  return {
    createRelease: () => ({ app: 'shop', release: 13, result: 'created', pins, warnings: [] }),
    showRelease: () => ({
      app: 'shop',
      release: 13,
      digest: 'd'.repeat(64),
      services: ['web'],
      labels: {},
      images: 'pinned',
      createdAt: 1,
      createdBy: 'ci',
      // Whatever the coordinator says of the file is not asked.
      compose: 'services: { web: { image: evil } }',
      envFiles: {},
      pins,
      variables: { VERSION: 'evil' },
      signatures: [],
    }),
    signRelease: ({ body }) => {
      const { key, publicKey } = SignRelease.parse(body);
      return { app: 'shop', release: 13, signatures: [{ key, fingerprint: keyFingerprint(publicKey) }] };
    },
  };
}

const file = (name: string): string => join(folder, name);
const FROM = (): string[] => ['-f', file('compose.yaml'), '--set', 'VERSION=1'];
const create = (...more: string[]) =>
  run(fake.url, ['release', 'create', 'shop', ...FROM(), '--sign-key', file('ci-2026.key'), ...more]);
const sign = (...more: string[]) => run(fake.url, ['release', 'sign', 'shop', '13', ...FROM(), ...more]);

/** Whether what was handed over is a signature of what the own files come to. */
function isOurs(image = pin.reference): boolean {
  const given = SignRelease.parse(fake.askedOf('signRelease')[0]?.body);
  const parsed = parseTemplate({ text: COMPOSE, envFiles: ENV });
  if (!parsed.ok) throw new Error('no template');
  const made = signableOf({
    app: 'shop',
    release: 13,
    template: parsed.template,
    set: { VERSION: '1' },
    images: { web: image },
  });
  if (!made.ok) throw new Error('not signable');
  const { open, spec } = made.signable;
  const entry = { app: 'shop', release: 13, spec, signature: { open, by: [given] } };
  const key = createPublicKey(readFileSync(file('ci-2026.key'), 'utf8'));
  expect(given.key).toBe('ci-2026');
  return (
    verifyRelease({ ...entry, signature: { open, by: [{ key: given.key, value: given.value }] } }, [
      { name: 'ci', key },
    ]).kind === 'signed'
  );
}

describe('release create --sign-key', () => {
  test('signs what the own files and digests come to, and says what is left open', async () => {
    const { code, out, err } = await create('--image-digest', `web=${D1}`);
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(out).toContain('shop: release 13 is signed by ci-2026, SHA256:');
    expect(out).toContain('web: GREETING');
    expect(isOurs()).toBe(true);
  });

  test('also takes an image’s own name, and the digests that the coordinator found where that is asked for', async () => {
    expect(await create('--image-digest', `r.test/web:1=${D1}`)).toMatchObject({ code: 0 });
    expect(await create('--trust-digests')).toMatchObject({ code: 0 });
  });

  test('makes nothing while it does not know what the images are', async () => {
    const { code, err } = await create();
    expect(code).toBe(2);
    expect(err).toContain("would be the coordinator's word alone");
    expect(err).toContain('--image-digest web=sha256:…');
    expect(fake.calls).toEqual([]);
  });

  test('says so when it is told how to sign and not with what', async () => {
    const asked = ['release', 'create', 'shop', ...FROM(), '--trust-digests'];
    expect(await run(fake.url, asked)).toMatchObject({ code: 2 });
    expect(fake.calls).toEqual([]);
  });

  test('makes nothing of a file that leaves its command to tenants', async () => {
    writeFileSync(file('compose.yaml'), COMPOSE.replace('"/app"', '"${COMMAND:-/app}"'));
    const { code, err } = await create('--image-digest', `web=${D1}`);
    expect(code).not.toBe(0);
    expect(err).toMatch(/compose\.yaml:5:\d+: .*holds the variable `COMMAND`/);
    expect(fake.calls).toEqual([]);
  });

  test('signs nothing when the coordinator pinned another image than the build made', async () => {
    for (const change of [
      { digest: D2, reference: `r.test/web@${D2}` },
      { reference: `evil.test/web@${D1}` },
    ]) {
      await fake.close();
      fake = await fakeApi(answers(change));
      const { code, err } = await create('--image-digest', `web=${D1}`);
      expect(code).not.toBe(0);
      expect(err).toContain(`Not signed: release 13 of shop has ${change.reference} for web`);
      expect(fake.askedOf('signRelease')).toEqual([]);
    }
  });
});

describe('release sign', () => {
  test('goes by the own file whatever the coordinator shows of it', async () => {
    const { code, err } = await sign('--key', file('ci-2026.key'), '--image-digest', `web=${D1}`);
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(isOurs()).toBe(true);
  });

  test('shows what would be signed without a key, and signs nothing', async () => {
    const { code, out } = await sign('--show', '--image-digest', `web=${D1}`);
    expect(code).toBe(0);
    expect(out).toMatch(/^berth-release-v1\nshop\n13\n[0-9a-f]{64}\n/);
    expect(out).toContain(`"image": "r.test/web@${D1}"`);
    expect(out).toContain('"GREETING"');
    expect(fake.askedOf('signRelease')).toEqual([]);
  });

  test('names all that it needs at once, with the whole command, and signs nothing', async () => {
    const bare = await run(fake.url, ['release', 'sign', 'shop', '13']);
    expect(bare.code).toBe(2);
    expect(bare.err).toContain(
      'To sign release 13 of shop it also takes -f compose.yaml --set VERSION=… --image-digest web=sha256:… --key ci.key',
    );
    expect(bare.err).toContain(
      'berth release sign shop 13 -f compose.yaml --set VERSION=… --image-digest web=sha256:… --key ci.key',
    );
    const some = await run(fake.url, ['release', 'sign', 'shop', '13', '-f', file('compose.yaml')]);
    expect(some.err).toContain('it also takes --set VERSION=… --image-digest web=sha256:… --key ci.key');
    const trusting = await run(fake.url, ['release', 'sign', 'shop', '13', '--trust-digests', '--show']);
    expect(trusting.err).toContain('it also takes -f compose.yaml --set VERSION=…\n');
    const noKey = await sign();
    expect(noKey.err).toContain('it also takes --image-digest web=sha256:… --key ci.key');
    const noDigest = await sign('--key', file('ci-2026.key'));
    expect(noDigest.err).toContain("would be the coordinator's word alone");
    for (const each of [bare, some, trusting, noKey, noDigest]) expect(each.code).toBe(2);
    expect(fake.askedOf('signRelease')).toEqual([]);
  });

  test('offers no line to copy in which a coordinator has hidden a command', async () => {
    await fake.close();
    const shown = answers().showRelease?.({ params: {}, query: {}, body: undefined });
    if (shown === undefined) throw new Error('no release');
    const evil = { ...shown, variables: { '$(evil)': '1' }, pins: { 'web;evil': pin } };
    fake = await fakeApi({ showRelease: () => evil });
    const { code, err } = await run(fake.url, ['release', 'sign', 'shop', '13']);
    expect(code).toBe(2);
    expect(err).toContain('berth release sign shop 13 -f compose.yaml --key ci.key');
    expect(err).not.toContain('evil');
  });

  test('refuses a private key that others can read, and says what to do', async () => {
    const digest = ['--image-digest', `web=${D1}`];
    for (const mode of [0o640, 0o604, 0o644]) {
      chmodSync(file('ci-2026.key'), mode);
      const { code, err } = await sign('--key', file('ci-2026.key'), ...digest);
      expect(code).toBe(2);
      expect(err).toContain(`can be read by others (mode 0${mode.toString(8)})`);
      expect(err).toContain(`chmod 600 ${file('ci-2026.key')}`);
    }
    expect(fake.askedOf('signRelease')).toEqual([]);
    chmodSync(file('ci-2026.key'), 0o400);
    expect(await sign('--key', file('ci-2026.key'), ...digest)).toMatchObject({ code: 0 });
  });

  test('refuses what is no Ed25519 key, without a word of it', async () => {
    const digest = ['--image-digest', `web=${D1}`];
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 1024 });
    writeFileSync(file('rsa.key'), privateKey.export({ format: 'pem', type: 'pkcs8' }), { mode: 0o600 });
    writeFileSync(
      file('bad.key'),
      '-----BEGIN PRIVATE KEY-----\nplanted-value\n-----END PRIVATE KEY-----\n',
      { mode: 0o600 },
    );
    expect((await sign('--key', file('rsa.key'), ...digest)).err).toContain('not an Ed25519 key');
    const bad = await sign('--key', file('bad.key'), ...digest);
    expect(bad.err).toContain('is not a private key in PEM');
    expect(bad.err + bad.out).not.toContain('planted');
    expect((await sign(...digest)).err).toContain('There is no key to sign with');
    expect((await sign('--image-digest', 'web=sha256:1')).err).toContain('is not SERVICE=sha256:…');
    expect(fake.askedOf('signRelease')).toEqual([]);
  });
});

test('release keygen makes a key that only its owner may read, and replaces none', async () => {
  const { code, out } = await run(fake.url, ['release', 'keygen', '--out', file('ci-2027.key'), '--json']);
  expect(code).toBe(0);
  const key = createPrivateKey(readFileSync(file('ci-2027.key'), 'utf8'));
  const publicKey = createPublicKey(key).export({ format: 'der', type: 'spki' }).toString('base64');
  expect(JSON.parse(out)).toMatchObject({
    name: 'ci-2027',
    publicKey,
    fingerprint: keyFingerprint(publicKey),
  });
  expect(statSync(file('ci-2027.key')).mode & 0o777).toBe(0o600);
  const again = await run(fake.url, ['release', 'keygen', '--out', file('ci-2027.key')]);
  expect(again).toMatchObject({ code: 2 });
  expect(again.err).toContain('is there already and is not replaced');
});
