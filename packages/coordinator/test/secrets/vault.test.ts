import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openVault } from '../../src/secrets/vault.ts';

const place = { tenant: 'acme', name: 'KEY', version: 1, id: '0123456789abcdef' };
let dir = '';
let keyFile = '';
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'berth-vault-'));
  keyFile = join(dir, 'made', 'berth.db.secrets-key');
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));
const vault = () => openVault({ keyFile, kms: null });

describe('a vault with a key file', () => {
  test('makes it when there was never a key, readable by its owner only', async () => {
    const name = await vault().current([]);
    expect(name).toMatch(/^local:[0-9a-f]{16}$/);
    expect(statSync(keyFile).mode & 0o777).toBe(0o600);
    expect(await vault().current([])).toBe(name);
  });

  test('is one key for all who make it at the same moment', async () => {
    const names = await Promise.all(Array.from({ length: 8 }, () => vault().current([])));
    expect(new Set(names).size).toBe(1);
    expect(readdirSync(dirname(keyFile))).toEqual(['berth.db.secrets-key']);
  });

  test('takes the rights of others away from a file that somebody opened up', async () => {
    await vault().current([]);
    chmodSync(keyFile, 0o644);
    await vault().current([]);
    expect(statSync(keyFile).mode & 0o777).toBe(0o600);
  });

  test('gives back any bytes, with a key of its own for each value', async () => {
    await vault().current([]);
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 2_000 }), async (bytes) => {
        const value = Buffer.from(bytes);
        const one = await vault().seal(place, value);
        const two = await vault().seal(place, value);
        expect(await vault().open(place, one)).toEqual(value);
        expect(one.box).not.toBe(two.box);
        expect(one.wrapped).not.toBe(two.wrapped);
      }),
      { numRuns: 20 },
    );
  });

  test.each([
    ['tenant', { ...place, tenant: 'globex' }],
    ['name', { ...place, name: 'OTHER' }],
    ['version', { ...place, version: 2 }],
    ['id', { ...place, id: 'f'.repeat(16) }],
  ])('opens nothing under another %s, and names what it cannot open', async (_what, other) => {
    await vault().current([]);
    const sealed = await vault().seal(place, Buffer.from('v'));
    await expect(vault().open(other, sealed)).rejects.toMatchObject({
      code: 'secret_unavailable',
      message: expect.stringContaining(
        `The secret ${other.name} (version ${other.version}) of tenant ${other.tenant} cannot be opened`,
      ),
    });
  });

  test('opens nothing that was altered, in any part', async () => {
    await vault().current([]);
    const sealed = await vault().seal(place, Buffer.from('v'));
    for (const part of ['wrapped', 'box'] as const) {
      const bytes = Buffer.from(sealed[part], 'base64');
      for (const at of [0, 13, bytes.length - 1]) {
        const altered = Buffer.from(bytes);
        altered[at] = (altered[at] ?? 0) ^ 1;
        await expect(vault().open(place, { ...sealed, [part]: altered.toString('base64') })).rejects.toThrow(
          /another, or what is kept was altered/,
        );
      }
      await expect(vault().open(place, { ...sealed, [part]: '' })).rejects.toThrow(/cannot be opened/);
    }
  });

  test('that is lost is never made anew while something was wrapped with it', async () => {
    const key = await vault().current([]);
    const sealed = await vault().seal(place, Buffer.from('v'));
    const kept = readFileSync(keyFile);
    rmSync(keyFile);
    await expect(vault().open(place, sealed)).rejects.toThrow(/KEY.*acme.*is gone; put it back/);
    await expect(vault().current([key])).rejects.toThrow(/is gone; put it back/);
    await expect(vault().seal(place, Buffer.from('v'))).rejects.toThrow(/cannot be kept/);
    await expect(vault().rotate()).rejects.toMatchObject({ code: 'secret_unavailable' });
    expect((await vault().missing([key])).get(key)).toMatch(/is gone/);
    writeFileSync(keyFile, kept);
    expect(String(await vault().open(place, sealed))).toBe('v');
  });

  test('that is another one says which key it lacks', async () => {
    const key = await vault().current([]);
    const sealed = await vault().seal(place, Buffer.from('v'));
    rmSync(keyFile);
    await vault().current([]);
    await expect(vault().open(place, sealed)).rejects.toThrow(new RegExp(`does not hold the key ${key}`));
  });

  test.each(['', '{', '{"current":"local:0000000000000000","keys":{}}', '[]'])(
    'that is damaged (%j) is not replaced, and not quoted',
    async (text) => {
      const key = await vault().current([]);
      writeFileSync(keyFile, text);
      await expect(vault().current([key])).rejects.toMatchObject({ code: 'secret_unavailable' });
      await expect(vault().current([])).rejects.toThrow(/cannot be used/);
      expect(readFileSync(keyFile, 'utf8')).toBe(text);
    },
  );

  test('keeps old keys until nothing needs them', async () => {
    const first = await vault().current([]);
    const sealed = await vault().seal(place, Buffer.from('v'));
    const second = await vault().rotate();
    expect(second).not.toBe(first);
    expect(String(await vault().open(place, sealed))).toBe('v');
    const again = await vault().rewrap(place, sealed);
    expect([again.key, again.box]).toEqual([second, sealed.box]);
    await vault().forgetAllBut([first]);
    expect(String(await vault().open(place, sealed))).toBe('v');
    await vault().forgetAllBut([second]);
    await expect(vault().open(place, sealed)).rejects.toThrow(/does not hold the key/);
    expect(String(await vault().open(place, again))).toBe('v');
  });
});

describe('a vault without a key', () => {
  test('says what to set', async () => {
    const none = openVault({ keyFile: null, kms: null });
    await expect(none.current([])).rejects.toThrow(/set secrets\.kms\.key, or secrets\.keyFile/);
    await expect(none.open(place, { key: 'local:0123456789abcdef', wrapped: '', box: '' })).rejects.toThrow(
      /the configuration says nothing of/,
    );
  });
});
