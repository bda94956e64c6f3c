import { mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { realDisk } from '../../src/state/disk.ts';
import { savedInstance } from '../../src/state/identity.ts';
import { openState } from '../../src/state/open.ts';
import { setAside } from '../../src/state/set-aside.ts';
import { clock, desired, status, tenant } from './samples.ts';

let directory = '';
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'berth-aside-'));
});
afterEach(async () => {
  await rm(directory, { recursive: true, force: true });
});

/** A host that is enrolled and has a tenant and its secrets. */
async function host(): Promise<string> {
  const state = await openState(directory, { clock });
  await state.identity.claim('i-0123456789abcdef0');
  await state.identity.bind('h_0123456789abcdef');
  await state.desired.commit(desired(1, [tenant('acme')]));
  await state.statuses.save(status('acme', 1));
  await mkdir(join(directory, 'secrets', 'open'), { recursive: true });
  await writeFile(join(directory, 'secrets', 'host-key'), 'sealed');
  return state.identity.publicKey;
}

test('what belongs to another host is out of the way, and can be looked at', async () => {
  const before = await host();
  expect(await savedInstance(directory, realDisk)).toBe('i-0123456789abcdef0');
  const aside = await setAside(directory, 'i-0123456789abcdef0', realDisk, clock);
  expect((await readdir(aside)).sort()).toEqual([
    'desired',
    'head.json',
    'identity.json',
    'secrets',
    'status',
  ]);
  expect((await stat(aside)).mode & 0o777).toBe(0o700);
  expect(await readdir(join(directory, 'secrets'))).toEqual(['open']);
  expect(await savedInstance(directory, realDisk)).toBeNull();
  const anew = await openState(directory, { clock });
  expect(anew.identity.host()).toBeNull();
  expect(anew.identity.instance()).toBeNull();
  expect(anew.identity.publicKey).not.toBe(before);
  expect(anew.desired.current()).toMatchObject({ epoch: 0, revision: 0, tenants: {} });
  expect([...anew.statuses.all().keys()]).toEqual([]);
});

test('half done, it is done again from where it stopped', async () => {
  await host();
  let renames = 0;
  const dying = {
    ...realDisk,
    async rename(from: string, to: string) {
      renames += 1;
      if (renames === 3) throw new Error('the power went');
      await realDisk.rename(from, to);
    },
  };
  await expect(setAside(directory, 'i-0123456789abcdef0', dying, clock)).rejects.toThrow('the power went');
  // The disk is still known for a copy.
  expect(await savedInstance(directory, realDisk)).toBe('i-0123456789abcdef0');
  await setAside(directory, 'i-0123456789abcdef0', realDisk, { now: () => clock.now() + 1 });
  const anew = await openState(directory, { clock });
  expect(anew.identity.host()).toBeNull();
  expect(Object.keys(anew.desired.current().tenants)).toEqual([]);
});

test('a key that is renewed is another one, which is kept, and the old one is set aside', async () => {
  const state = await openState(directory, { clock });
  const before = state.identity.publicKey;
  await state.identity.claim('i-0123456789abcdef0');
  await state.identity.renew();
  expect(state.identity.publicKey).not.toBe(before);
  expect(state.identity.instance()).toBeNull();
  const again = await openState(directory, { clock });
  expect(again.identity.publicKey).toBe(state.identity.publicKey);
  expect((await readdir(directory)).some((name) => name.startsWith('identity.json.corrupt-'))).toBe(true);
  expect((await stat(join(directory, 'identity.json'))).mode & 0o777).toBe(0o600);
});
