import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { SetPoolSigners, type PoolSignersShown } from '@berth/shared/api/signers';
import { BerthError } from '@berth/shared/domain/errors';
import { keyFingerprint } from '@berth/shared/domain/signature';
import { keysOf, signerOf } from '@berth/shared/domain/signers';
import { fakeApi } from './support/fake-api.ts';
import { run } from './support/run.ts';

let folder: string;
let shown: PoolSignersShown | null;
let fake: Awaited<ReturnType<typeof fakeApi>>;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'berth-signers-'));
  for (const name of ['ci-2026', 'ci-2027'])
    expect(await run('http://none', ['release', 'keygen', '--out', file(`${name}.key`)])).toMatchObject({
      code: 0,
    });
  shown = null;
  fake = await fakeApi({
    showPoolSigners: () => {
      if (shown === null) throw new BerthError('not_found', 'There is no pool prod.');
      return shown;
    },
    setPoolSigners: ({ body }) => {
      const { signers } = SetPoolSigners.parse(body);
      const keys = signers.keys.map(({ name, publicKey }) => ({
        name,
        fingerprint: keyFingerprint(publicKey),
      }));
      const current = { ...signers, keys, signedBy: ['ci-2026'], at: 1 };
      return { pool: 'prod', result: 'changed', current, next: signers.version + 1, hosts: HOSTS };
    },
  });
});
afterEach(async () => {
  await fake.close();
  rmSync(folder, { recursive: true });
});

const HOSTS: PoolSignersShown['hosts'] = [
  { host: 'h_0000000000000001', name: 'web-1', state: 'goes-by', version: 3, refused: null },
  { host: 'h_0000000000000002', name: 'web-2', state: 'refuses', version: 2, refused: 'It is older.' },
  { host: 'h_0000000000000003', name: 'web-3', state: 'cannot', version: null, refused: null },
];
const file = (name: string): string => join(folder, name);
const pub = (name: string): string[] => ['--key', file(`${name}.pub`)];
const by = (name: string): string[] => ['--sign-with', file(`${name}.key`)];
const signers = (...args: string[]) => run(fake.url, ['pool', 'signers', ...args]);
const publicOf = (name: string): string =>
  createPublicKey(readFileSync(file(`${name}.pub`), 'utf8'))
    .export({ format: 'der', type: 'spki' })
    .toString('base64');
const handedIn = () => SetPoolSigners.parse(fake.askedOf('setPoolSigners')[0]?.body);

test('pool signers set signs the first statement of a pool that is not there yet', async () => {
  const { code, out, err } = await signers('set', 'prod', ...pub('ci-2026'), ...by('ci-2026'));
  expect(code).toBe(0);
  const given = handedIn();
  expect(given).toMatchObject({
    signers: {
      pool: 'prod',
      version: 1,
      required: true,
      keys: [{ name: 'ci-2026', publicKey: publicOf('ci-2026') }],
    },
    replace: false,
  });
  expect(signerOf(given, keysOf(given.signers.keys))).toBe('ci-2026');
  expect(out).toContain('runs only releases that one of these keys has signed (version 1)');
  expect(out).toContain(keyFingerprint(publicOf('ci-2026')));
  expect(out).not.toContain('for the last time');
  expect(err).toContain('The agents of web-3 know nothing of this');
});

test('another key takes the place of the one that signs, which is said', async () => {
  shown = { pool: 'prod', current: null, next: 4, hosts: [] };
  const { out } = await signers('set', 'prod', ...pub('ci-2027'), ...by('ci-2026'));
  expect(handedIn().signers).toMatchObject({ version: 4, keys: [{ name: 'ci-2027' }] });
  expect(out).toContain('ci-2026 signed this for the last time');
});

test('a number that nobody reaches is signed only by who says it himself', async () => {
  shown = { pool: 'prod', current: null, next: 1_000_000_000, hosts: [] };
  const args = ['set', 'prod', ...pub('ci-2026'), ...by('ci-2026')];
  expect(await signers(...args)).toMatchObject({
    code: 2,
    err: expect.stringContaining('not signed unasked'),
  });
  expect(fake.askedOf('setPoolSigners')).toEqual([]);
  expect(await signers(...args, '--number', '7')).toMatchObject({ code: 0 });
  expect(handedIn().signers.version).toBe(7);
});

test('clear signs nothing where no signature was ever asked for: there is nothing to clear', async () => {
  for (const none of [null, { pool: 'prod', current: null, next: 1, hosts: [] }]) {
    shown = none;
    const { code, err } = await signers('clear', 'prod', ...by('ci-2026'));
    expect(code).toBe(1);
    expect(err).toContain('There is nothing to clear: pool prod has never had signers');
  }
  expect(fake.askedOf('setPoolSigners')).toEqual([]);
  // Hosts of a coordinator that was restored from before may know of signers.
  shown = { pool: 'prod', current: null, next: 4, hosts: [] };
  expect(await signers('clear', 'prod', ...by('ci-2026'))).toMatchObject({ code: 0 });
});

test('clear names the key that signs it, and never one that the coordinator tells', async () => {
  const thief = generateKeyPairSync('ed25519').publicKey.export({ format: 'der', type: 'spki' });
  const keys = [{ name: 'ci-2026', fingerprint: keyFingerprint(thief.toString('base64')) }];
  shown = {
    pool: 'prod',
    current: { version: 3, required: true, keys, signedBy: ['ci-2026'], at: 1 },
    next: 4,
    hosts: [],
  };
  const pem = readFileSync(file('ci-2026.key'), 'utf8');
  const ran = await run(fake.url, ['pool', 'signers', 'clear', 'prod'], { env: { BERTH_SIGNING_KEY: pem } });
  expect(ran.code).toBe(0);
  expect(handedIn().signers).toEqual({
    pool: 'prod',
    version: 4,
    required: false,
    keys: [{ name: 'ci', publicKey: publicOf('ci-2026') }],
  });
  expect(ran.out).toContain('asks for no signature any more');
});

test('show says who signs and which host goes by it, and why another does not', async () => {
  const keys = [{ name: 'ci-2026', fingerprint: 'SHA256:abc' }];
  const current = { version: 3, required: true, keys, signedBy: ['ci-2026'], at: 0 };
  shown = { pool: 'prod', current, next: 4, hosts: HOSTS };
  const { out } = await signers('show', 'prod');
  expect(out).toContain('required');
  expect(out).toContain('SHA256:abc');
  expect(out).toMatch(/web-1 +3 +goes by it/);
  expect(out).toMatch(/web-2 +2 +refuses it +It is older\./);
  expect(out).toMatch(/web-3 +– +its agent is too old/);
});

test('what cannot be a statement is refused before anything is asked, and no private key is taken for a public one', async () => {
  const sign = ['--sign-with', file('ci-2026.key')];
  const refusals: [string[], string][] = [
    [['set', 'prod', ...sign], 'Say which keys'],
    [['set', 'prod', '--key', file('ci-2026.pub')], 'There is no key to sign with'],
    [['set', 'prod', '--key', file('ci-2026.key'), ...sign], 'is a private key'],
    [['set', 'prod', '--key', file('nothing.pub'), ...sign], 'there is no such file'],
    [['set', 'prod', '--key', file('text.pub'), ...sign], 'is not an Ed25519 public key'],
    [['set', 'prod', '--key', file('rsa.pub'), ...sign], 'is not an Ed25519 public key'],
  ];
  writeFileSync(file('text.pub'), 'hello');
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey;
  writeFileSync(file('rsa.pub'), rsa.export({ format: 'pem', type: 'spki' }));
  for (const [args, why] of refusals) {
    const { code, err } = await signers(...args);
    expect(err).toContain(why);
    expect(code).toBe(2);
  }
  const twice = await signers('set', 'prod', ...pub('ci-2026'), ...pub('ci-2026'), ...sign);
  expect(twice.err).toContain('two keys have the same name');
  expect(fake.askedOf('setPoolSigners')).toEqual([]);
  expect(existsSync(file('ci-2027.pub'))).toBe(true);
});
