import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openVault } from '../../src/secrets/vault.ts';
import type { StoreOptions } from '../../src/store/open.ts';
import { testServices, type TestServices } from '../support/coordinator.ts';
import { BY } from '../support/samples.ts';

const value = (text: string) => ({ kind: 'value' as const, value: Buffer.from(text).toString('base64') });

/** What a new key does to secrets whose own key is not there, over a store of either kind. */
export function secretKeyCases(where: () => Promise<StoreOptions | undefined>): void {
  let dir = '';
  let path = '';
  let t: TestServices;

  beforeEach(async () => {
    dir = mkdtempSync(join(tmpdir(), 'berth-secret-keys-'));
    path = join(dir, 'key');
    t = await testServices({ store: await where(), vault: openVault({ keyFile: path, kms: null }) });
    const host = await t.host('one');
    await t.services.apps.apply(BY, 'shop', {
      compose: 'services: { web: { image: shop, x-berth: { route: { port: 80 } } } }',
      envFiles: {},
      labels: {},
      set: {},
    });
    for (const tenant of ['acme', 'globex']) {
      const domains = [`${tenant}.example.com`];
      await t.services.tenants.create(BY, { tenant, app: 'shop', domains, variables: {}, host, tags: [] });
      await t.services.secrets.set(BY, tenant, { KEY: value(`of ${tenant}`) });
    }
    await t.services.secrets.set(BY, 'acme', { KEY: value('again'), DSN: value('x') });
  });
  afterEach(async () => {
    await t.close();
    rmSync(dir, { recursive: true, force: true });
  });

  const keyOfAll = async (): Promise<string> => (await t.store.secretKeys())[0]?.key ?? '';

  /** A good key file, but that of another coordinator. */
  async function otherKeyFile(): Promise<Buffer> {
    const other = join(dir, 'other');
    await openVault({ keyFile: other, kms: null }).current([]);
    const content = readFileSync(other);
    writeFileSync(path, content, { mode: 0o600 });
    return content;
  }

  describe('a new key', () => {
    test('is not made in the key file of another coordinator, and what cannot be opened is named', async () => {
      const right = readFileSync(path);
      const key = await keyOfAll();
      const wrong = await otherKeyFile();
      const before = (await t.store.audit(undefined, 1))[0]?.id;
      const thrown: unknown = await t.services.secrets.rotateKey(BY).catch((error: unknown) => error);
      expect(thrown).toMatchObject({ code: 'secret_unavailable', details: { keys: [key] } });
      const said = thrown instanceof Error ? thrown.message : '';
      expect(said).toContain(`4 versions of 3 secrets of 2 tenants, wrapped with the key ${key}`);
      expect(said).toContain(`the key file ${path} does not hold the key ${key}; put back the file that did`);
      expect(said).toContain('"berth secret rotate-key --despite-lost-keys"');
      expect(said).toContain('(DSN of acme, KEY of acme, KEY of globex)');
      expect(said).toContain('"berth secret keys" names all that are closed.');
      // Nothing was made: neither a key in the wrong file, nor a record of one.
      expect(readFileSync(path)).toEqual(wrong);
      expect((await t.store.audit(undefined, 1))[0]?.id).toBe(before);
      writeFileSync(path, right, { mode: 0o600 });
      expect(await t.services.secrets.rotateKey(BY)).toMatchObject({ before: key, rewrapped: 4, failed: [] });
    });

    test('is not said to be used while another is missing, and what is closed is listed', async () => {
      const right = readFileSync(path);
      const key = await keyOfAll();
      await otherKeyFile();
      const keys = await t.services.secrets.keys('list');
      expect(keys).toMatchObject({
        current: null,
        problem: `The key ${key} is missing: nothing new is kept until it is back.`,
        keys: [{ key, versions: 4 }],
      });
      expect(keys.closed).toEqual([
        { tenant: 'acme', name: 'DSN', key, versions: 1 },
        { tenant: 'acme', name: 'KEY', key, versions: 2 },
        { tenant: 'globex', name: 'KEY', key, versions: 1 },
      ]);
      expect(await t.services.secrets.keys()).not.toHaveProperty('closed');
      writeFileSync(path, right, { mode: 0o600 });
      expect(await t.services.secrets.keys('list')).toMatchObject({
        current: key,
        problem: null,
        closed: [],
      });
    });

    test('is missing for whoever sets a secret: others’ secrets are named only to who may see them', async () => {
      await otherKeyFile();
      const set = (sees?: 'own' | 'all') =>
        t.services.secrets.set(BY, 'globex', { NEW: value('x') }, 'refuse', sees);
      await expect(set('all')).rejects.toThrow('(DSN of acme, KEY of acme, KEY of globex)');
      const own: unknown = await set().catch((error: unknown) => error);
      expect(own).toMatchObject({ message: expect.stringContaining('(KEY of globex)') });
      expect(String(own)).not.toContain('acme');
    });

    test('is not made in place of a key file that is gone or damaged', async () => {
      const right = readFileSync(path);
      rmSync(path);
      await expect(t.services.secrets.rotateKey(BY)).rejects.toThrow(/4 versions .* is gone; put it back/);
      expect(existsSync(path)).toBe(false);
      writeFileSync(path, right.subarray(0, 40), { mode: 0o600 });
      await expect(t.services.secrets.rotateKey(BY)).rejects.toThrow(/no key file, or a damaged one/);
      expect(readFileSync(path)).toHaveLength(40);
    });

    test('is made all the same when the old one is lost for good, and says what stays closed', async () => {
      const right = readFileSync(path);
      const key = await keyOfAll();
      await otherKeyFile();
      const done = await t.services.secrets.rotateKey(BY, 'despite');
      expect(done).toMatchObject({ rewrapped: 0, failed: expect.objectContaining({ length: 4 }) });
      expect(done.failed.join()).toContain(`The secret KEY (version 1) of tenant globex cannot be opened`);
      const [record] = await t.store.audit(undefined, 1);
      expect(record).toMatchObject({
        action: 'secret-key.rotated',
        after: { key: done.current, despiteLostKeys: true },
      });
      // Nothing that the lost key wraps was touched: were it found again, all would open.
      expect(await t.store.secretKeys()).toEqual([{ key, versions: 4 }]);
      writeFileSync(path, right, { mode: 0o600 });
      expect(await t.services.secrets.rotateKey(BY)).toMatchObject({ rewrapped: 4, failed: [] });
    });

    test('and a new value are to be had also when the key file is gone for good', async () => {
      rmSync(path);
      await expect(t.services.secrets.set(BY, 'acme', { KEY: value('new') })).rejects.toThrow(
        /4 versions of 3 secrets of 2 tenants.*--despite-lost-keys/,
      );
      await t.services.secrets.set(BY, 'acme', { KEY: value('new') }, 'despite');
      const keys = await t.services.secrets.keys();
      expect(keys.keys.map(({ versions, problem }) => [versions, problem === null])).toEqual(
        expect.arrayContaining([
          [4, false],
          [1, true],
        ]),
      );
    });
  });
}
