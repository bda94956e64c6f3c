import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { sealToHost } from '@berth/shared/secrets/sealed';
import { openHostKey } from '../../src/secrets/host-key.ts';
import { createSecretMemory } from '../../src/secrets/memory.ts';
import { createSealedStore } from '../../src/secrets/sealed-store.ts';
import { createSetStore, placesOf, setOf } from '../../src/secrets/sets.ts';
import { planWith } from '../execute/plans.ts';

const HOST = 'h_aaaaaaaaaaaaaaaa';
const place = { tenant: 'acme', name: 'KEY', version: 1, id: '0123456789abcdef' };
const file = {
  name: 'KEY',
  version: 1,
  id: '0123456789abcdef',
  target: '/run/secrets/KEY',
  uid: 0,
  gid: 0,
  mode: '0444',
};
let dir = '';
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'berth-host-secrets-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));
const key = () => openHostKey(dir, null);
const store = () => createSealedStore(join(dir, 'sealed'), key);

describe('the host’s key', () => {
  test('is made once, in a file that only its owner reads', async () => {
    const made = await key();
    expect((await key()).publicKey).toBe(made.publicKey);
    expect(statSync(join(dir, 'sealing-key.json')).mode & 0o777).toBe(0o600);
  });

  test.each(['', '{}', '{"kind":"plain","publicKey":"AA==","privateKey":"AA=="}'])(
    'that is damaged (%j) is told and never replaced',
    async (text) => {
      writeFileSync(join(dir, 'sealing-key.json'), text);
      await expect(key().then((each) => each.privateKey())).rejects.toThrow(
        /sealing-key\.json cannot be read/,
      );
      expect(readFileSync(join(dir, 'sealing-key.json'), 'utf8')).toBe(text);
    },
  );
});

describe('sealed values', () => {
  test('come back as they were, and lie on the disk sealed', async () => {
    const value = Buffer.from('hunter2\0\xff', 'latin1');
    await store().seal(place, HOST, value);
    expect(await store().open(place)).toEqual(value);
    const [name = ''] = readdirSync(join(dir, 'sealed', 'acme'));
    expect(readFileSync(join(dir, 'sealed', 'acme', name), 'latin1')).not.toContain('hunter2');
    expect(statSync(join(dir, 'sealed', 'acme', name)).mode & 0o777).toBe(0o600);
  });

  test('that do not open here are not kept', async () => {
    const { publicKey } = await key();
    const raw = Buffer.from(publicKey, 'base64');
    const box = sealToHost(raw, HOST, place, Buffer.from('v'));
    await store().keep(place, HOST, box);
    expect(String(await store().open(place))).toBe('v');
    const other = { ...place, name: 'OTHER' };
    await expect(store().keep(other, HOST, box)).rejects.toThrow(
      /OTHER \(version 1\) of tenant acme cannot be opened/,
    );
    expect(await store().has(other)).toBe(false);
    expect(await store().open(other)).toBeNull();
  });

  test('that were swapped, altered or torn on the disk open as nothing', async () => {
    const other = { ...place, tenant: 'globex' };
    await store().seal(place, HOST, Buffer.from('of acme'));
    await store().seal(other, HOST, Buffer.from('of globex'));
    const path = (tenant: string): string =>
      join(dir, 'sealed', tenant, readdirSync(join(dir, 'sealed', tenant))[0] ?? '');
    const text = readFileSync(path('globex'), 'utf8');
    writeFileSync(path('acme'), text);
    await expect(store().open(place)).rejects.toMatchObject({ code: 'secret_unavailable' });
    expect(await store().opens(place)).toBe(false);
    writeFileSync(path('acme'), text.slice(0, 40));
    await expect(store().open(place)).rejects.toThrow(/KEY \(version 1\) of tenant acme/);
    expect(await store().opens(other)).toBe(true);
  });

  test('are kept while something needs them, and go with the tenant', async () => {
    const next = { ...place, version: 2 };
    for (const each of [place, next]) await store().seal(each, HOST, Buffer.from('v'));
    await store().retain('acme', [next]);
    expect([await store().has(place), await store().has(next)]).toEqual([false, true]);
    await store().forget('acme');
    expect(await store().has(next)).toBe(false);
  });
});

describe('the set of a container', () => {
  const planOf = (secrets: (typeof file & { from?: string })[], generation = 1) => ({
    ...planWith({ secrets }),
    generation,
  });

  test('is none without secrets, the same for the same ones, another for any other', () => {
    expect(setOf(planWith())).toBeNull();
    const names = [
      planOf([file]),
      planOf([{ ...file, version: 2 }]),
      planOf([{ ...file, id: 'f'.repeat(16) }]),
      planOf([{ ...file, mode: '0400' }]),
      planOf([{ ...file, target: '/etc/x' }]),
      planOf([{ ...file, from: 'aws-ssm:/x' }]),
      planOf([{ ...file, from: 'aws-ssm:/x' }], 2),
    ].map((plan) => setOf(plan)?.set);
    expect(new Set(names).size).toBe(names.length);
    expect(setOf(planOf([file], 7))?.set).toBe(names[0]);
  });

  test('keeps a reference’s value by generation, so that each asks again', () => {
    const places = [1, 2].map((generation) => {
      const set = setOf(planOf([{ ...file, from: 'aws-ssm:/x' }], generation));
      return set === null ? [] : placesOf(set);
    });
    expect(places.map((each) => each[0]?.id)).toEqual(['0123456789abcdef-1', '0123456789abcdef-2']);
  });

  test('is remembered without values, also when a torn one lies beside it', async () => {
    const sets = createSetStore(join(dir, 'sets'));
    const set = setOf(planOf([file]));
    if (set === null) throw new Error('no set');
    await sets.keep(set);
    writeFileSync(join(dir, 'sets', 'acme', 'ffffffffffffffff.json'), '{"tenant":');
    expect(await createSetStore(join(dir, 'sets')).of('acme')).toEqual([set]);
    expect(await sets.tenants()).toEqual(['acme']);
    await sets.forget('acme');
    expect(await sets.of('acme')).toEqual([]);
  });
});

describe('memory for open secrets', () => {
  test('is never a directory on a disk: nothing is written where nothing is mounted', async () => {
    const memory = createSecretMemory(join(dir, 'open'));
    const set = setOf({ ...planWith({ secrets: [file] }) });
    if (set === null) throw new Error('no set');
    await expect(memory.put(set, () => Buffer.from('v'))).rejects.toThrow(/only ever put into memory/);
    expect(memory.has('acme', set.set)).toBe(false);
    expect(readdirSync(dir)).toEqual([]);
  });
});
