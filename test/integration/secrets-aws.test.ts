import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createResolve, kmsWrap } from '@berth/agent/secrets/references';
import { openHostKey } from '@berth/agent/secrets/host-key';
import { askAws } from '@berth/agent/system/aws';
import { openVault } from '@berth/coordinator/secrets/vault';
import { AWS_ENV } from '../fakes/aws-json.ts';
import { startKms, type KmsDouble } from '../fakes/kms.ts';
import { startSecretsManager, type SecretsManagerDouble } from '../fakes/secrets-manager.ts';
import { startSsm, type SsmDouble } from '../fakes/ssm.ts';

/** The real SDK against doubles that verify signatures, refuse, throttle, and say nothing. */

const place = { tenant: 'acme', name: 'STRIPE_KEY', version: 3, id: '0123456789abcdef' };
const value = Buffer.from('sk_live_ÿ\0binary');
const before = { ...process.env };
let kms: KmsDouble;
let manager: SecretsManagerDouble;
let ssm: SsmDouble;
let dir: string;

beforeAll(async () => {
  Object.assign(process.env, AWS_ENV);
  kms = await startKms('key-one', 'key-two');
  manager = await startSecretsManager();
  ssm = await startSsm();
});
afterAll(async () => {
  for (const name of Object.keys(AWS_ENV)) delete process.env[name];
  Object.assign(process.env, before);
  for (const each of [kms, manager, ssm]) await each?.close();
});
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'berth-secrets-'));
  for (const each of [kms, manager, ssm]) {
    each.state = 'up';
    each.asked.length = 0;
  }
});
afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
  for (const each of [kms, manager, ssm]) expect(each.refused).toEqual([]);
});

const vaultWith = (key: string) =>
  openVault({ keyFile: join(dir, 'key'), kms: { key, endpoint: kms.url, region: 'eu-central-1' } });

describe('a vault whose key is KMS’s', () => {
  test('opens what it sealed, and binds it to tenant, name, version and id', async () => {
    const vault = vaultWith('key-one');
    const sealed = await vault.seal(place, value);
    expect(sealed.key).toBe('kms:key-one');
    expect(JSON.stringify(sealed)).not.toContain(value.toString('base64'));
    expect(await vault.open(place, sealed)).toEqual(value);
    expect(kms.asked).toEqual(['GenerateDataKey', 'Decrypt']);
    expect(kms.contexts.at(-1)).toEqual({ tenant: 'acme', name: 'STRIPE_KEY', version: '3', id: place.id });
    for (const other of [
      { ...place, tenant: 'globex' },
      { ...place, name: 'OTHER' },
      { ...place, version: 4 },
      { ...place, id: 'f'.repeat(16) },
    ])
      await expect(vault.open(other, sealed)).rejects.toMatchObject({ code: 'secret_unavailable' });
  });

  test.each([
    ['denied', 'denied', /AccessDeniedException/],
    ['throttled', 'throttled', /ThrottlingException/],
    ['broken', 'broken', /InternalServerError|something broke/],
  ] as const)('says so when KMS is %s, naming the secret', async (_what, state, words) => {
    const vault = vaultWith('key-one');
    const sealed = await vault.seal(place, value);
    kms.state = state;
    await expect(vault.open(place, sealed)).rejects.toThrow(words);
    await expect(vault.open(place, sealed)).rejects.toThrow(/STRIPE_KEY \(version 3\) of tenant acme/);
    await expect(vault.seal(place, value)).rejects.toMatchObject({ code: 'secret_unavailable' });
  });

  test('gives up within seconds when KMS says nothing', async () => {
    const vault = vaultWith('key-one');
    const sealed = await vault.seal(place, value);
    kms.state = 'silent';
    const began = Date.now();
    await expect(vault.open(place, sealed)).rejects.toMatchObject({ code: 'secret_unavailable' });
    expect(Date.now() - began).toBeLessThan(20_000);
  }, 30_000);

  test('never opens what a key wrapped that was deleted', async () => {
    const vault = vaultWith('key-two');
    const sealed = await vault.seal(place, value);
    const key = kms.keys.get('key-two');
    kms.keys.delete('key-two');
    await expect(vault.open(place, sealed)).rejects.toThrow(/STRIPE_KEY.*cannot be opened/);
    if (key !== undefined) kms.keys.set('key-two', key);
  });

  test('wraps anew what a key file wrapped before, and what another KMS key did; the box stays', async () => {
    const file = openVault({ keyFile: join(dir, 'key'), kms: null });
    await file.current([]);
    const sealed = await file.seal(place, value);
    const one = await vaultWith('key-one').rewrap(place, sealed);
    const two = await vaultWith('key-two').rewrap(place, one);
    expect([sealed.key.slice(0, 6), one.key, two.key]).toEqual(['local:', 'kms:key-one', 'kms:key-two']);
    expect([one.box, two.box]).toEqual([sealed.box, sealed.box]);
    expect(await vaultWith('key-two').open(place, two)).toEqual(value);
  });
});

describe('references that a host resolves', () => {
  const resolve = (endpoint: string) => createResolve(askAws, { region: 'eu-central-1', endpoint });
  const of = (from: string) => ({ tenant: 'acme', name: 'DB', from });
  const ARN = 'arn:aws:secretsmanager:eu-central-1:123456789012:secret:prod/db-AbCdEf';

  test('lead to a whole value, to one key of its JSON, to a stage, to bytes', async () => {
    manager.secrets.set(ARN, {
      AWSCURRENT: JSON.stringify({ password: 'hunter2hunter2', port: 5432 }),
      AWSPREVIOUS: 'the one before',
    });
    manager.secrets.set('prod/binary', { AWSCURRENT: Buffer.from([0, 255, 1]) });
    const ask = resolve(manager.url);
    expect(JSON.parse(String(await ask(of(`aws-secretsmanager:${ARN}`))))).toHaveProperty('port', 5432);
    expect(String(await ask(of(`aws-secretsmanager:${ARN}#password`)))).toBe('hunter2hunter2');
    expect(String(await ask(of(`aws-secretsmanager:${ARN}#port`)))).toBe('5432');
    expect(String(await ask(of(`aws-secretsmanager:${ARN}@AWSPREVIOUS`)))).toBe('the one before');
    expect(await ask(of('aws-secretsmanager:prod/binary'))).toEqual(Buffer.from([0, 255, 1]));
  }, 30_000);

  test('lead to a parameter, decrypted', async () => {
    ssm.parameters.set('/prod/db', 'from the store');
    expect(String(await resolve(ssm.url)(of('aws-ssm:/prod/db')))).toBe('from the store');
  });

  test.each([
    ['a key that is not there', `aws-secretsmanager:${ARN}#nobody`, /has no key nobody/],
    ['a secret that is not there', 'aws-secretsmanager:prod/none', /ResourceNotFoundException/],
    ['a key of what is no JSON', `aws-secretsmanager:${ARN}#password@AWSPREVIOUS`, /is not JSON/],
  ])('are refused for %s, without quoting what was read', async (_what, from, words) => {
    const failed = resolve(manager.url)(of(from));
    await expect(failed).rejects.toThrow(words);
    await expect(failed).rejects.toThrow(/The secret DB of tenant acme could not be had from aws-/);
    await expect(failed).rejects.not.toThrow(/hunter2|the one before/);
  });

  test.each(['', 'x'.repeat(64 * 1024 + 1)])('are refused when they are empty or too large', async (text) => {
    ssm.parameters.set('/odd', text);
    await expect(resolve(ssm.url)(of('aws-ssm:/odd'))).rejects.toThrow(/empty|larger than 64 KB/);
  });

  test.each(['denied', 'throttled', 'broken'] as const)('name the secret when AWS is %s', async (state) => {
    ssm.state = state;
    await expect(resolve(ssm.url)(of('aws-ssm:/prod/db'))).rejects.toMatchObject({
      code: 'secret_unavailable',
      details: { tenant: 'acme', secret: 'DB' },
    });
  });

  test('are given up within seconds when AWS says nothing', async () => {
    manager.state = 'silent';
    const began = Date.now();
    await expect(resolve(manager.url)(of(`aws-secretsmanager:${ARN}`))).rejects.toMatchObject({
      code: 'secret_unavailable',
    });
    expect(Date.now() - began).toBeLessThan(25_000);
  }, 40_000);
});

describe('a host’s key that KMS wraps', () => {
  const wrap = () => kmsWrap(askAws, { key: 'key-one', region: 'eu-central-1', endpoint: kms.url });

  test('lies on the disk wrapped only, and is the same after a restart', async () => {
    const made = await openHostKey(dir, wrap());
    const again = await openHostKey(dir, wrap());
    expect(again.publicKey).toBe(made.publicKey);
    expect((await again.privateKey()).export({ format: 'der', type: 'pkcs8' })).toEqual(
      (await made.privateKey()).export({ format: 'der', type: 'pkcs8' }),
    );
  }, 30_000);

  test('is not opened, and not made anew, when KMS refuses', async () => {
    await openHostKey(dir, wrap());
    kms.state = 'denied';
    const key = await openHostKey(dir, wrap());
    await expect(key.privateKey()).rejects.toThrow(
      /sealing key cannot be opened with the KMS key key-one.*AccessDenied/,
    );
    kms.state = 'up';
    await key.privateKey();
    await expect((await openHostKey(dir, null)).privateKey()).rejects.toThrow(/names no KMS key/);
  }, 30_000);
});
