import { createPublicKey, verify } from 'node:crypto';
import { chmod, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { realDisk } from '../../src/state/disk.ts';
import { writeAtomically } from '../../src/state/files.ts';
import { openState } from '../../src/state/open.ts';
import { clock, desired, status, tenant } from './samples.ts';

let directory = '';
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'berth-state-'));
});
afterEach(async () => {
  await rm(directory, { recursive: true, force: true });
});

test('an agent keeps its key, its host, its state and its statuses across a restart', async () => {
  const first = await openState(directory, { clock });
  expect(first.identity.host()).toBeNull();
  await first.identity.bind('h_0123456789abcdef');
  await first.desired.commit(desired(1, [tenant('acme')]));
  await first.statuses.save(status('acme', 1));
  const again = await openState(directory, { clock });
  expect(again.identity.host()).toBe('h_0123456789abcdef');
  expect(again.identity.publicKey).toBe(first.identity.publicKey);
  expect(again.desired.current()).toEqual(first.desired.current());
  expect(again.statuses.get('acme')).toEqual(status('acme', 1));
  expect(again.quarantined).toEqual([]);
  const key = createPublicKey({
    key: Buffer.from(again.identity.publicKey, 'base64'),
    format: 'der',
    type: 'spki',
  });
  const signature = Buffer.from(again.identity.sign('hello'), 'base64');
  expect(verify(null, Buffer.from('hello'), key, signature)).toBe(true);
});

test('the key is for its owner only', async () => {
  await openState(directory, { clock });
  expect((await stat(join(directory, 'identity.json'))).mode & 0o777).toBe(0o600);
});

test('a broken key is set aside and a new one made, and the tenants stay', async () => {
  const first = await openState(directory, { clock });
  await first.desired.commit(desired(1, [tenant('acme')]));
  await writeFile(join(directory, 'identity.json'), '{"privateKey":"AAAA","host":null}');
  const again = await openState(directory, { clock });
  expect(again.quarantined).toEqual([join(directory, 'identity.json')]);
  expect(again.identity.publicKey).not.toBe(first.identity.publicKey);
  expect(await readdir(directory)).toContain(`identity.json.corrupt-${clock.now()}`);
  expect(Object.keys(again.desired.current().tenants)).toEqual(['acme']);
});

test('a file that cannot be written keeps its old content and leaves nothing behind', async () => {
  const path = join(directory, 'a.json');
  await writeAtomically(realDisk, path, 'old');
  // A directory in the way of the temporary file fails for root as well, unlike file rights.
  await realDisk.makeDirectory(`${path}.new`);
  await chmod(directory, 0o700);
  await expect(writeAtomically(realDisk, path, 'new')).rejects.toMatchObject({
    code: 'state_unwritable',
    message: expect.stringContaining(path),
  });
  expect(await realDisk.read(path)).toBe('old');
});
