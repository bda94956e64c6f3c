import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { CHAIN_START } from '@berth/shared/domain/audit';
import { fakeApi } from './support/fake-api.ts';
import { run } from './support/run.ts';

let dir = '';
let fake: Awaited<ReturnType<typeof fakeApi>>;
beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'berth-token-file-'));
  fake = await fakeApi({ listAudit: () => ({ items: [], head: CHAIN_START }) });
});
afterEach(async () => {
  await fake.close();
  rmSync(dir, { recursive: true, force: true });
});

function tokenFile(mode: number): string {
  const path = join(dir, `token-${mode.toString(8)}`);
  writeFileSync(path, 'berth_api_planted\n', { mode });
  return path;
}

test('a token file that others can read is named on stderr, once, and never in what a program reads', async () => {
  const path = tokenFile(0o644);
  const { code, out, err } = await run(fake.url, ['--token-file', path, 'audit', '--json']);
  expect(code).toBe(0);
  expect(JSON.parse(out)).toEqual({ items: [], head: CHAIN_START });
  expect(err).toBe(
    `warning: the token file ${path} can be read by others (mode 0644); make it yours alone: chmod 600 ${path}\n`,
  );
  expect(err).not.toContain('planted');
});

test('one that is its owner’s alone is not spoken of', async () => {
  const quiet = await run(fake.url, ['--token-file', tokenFile(0o600), 'audit', 'list']);
  expect(quiet).toMatchObject({ code: 0, err: '' });
});

test('one that is not there ends with 2, before anything is asked', async () => {
  const missing = await run(fake.url, ['--token-file', join(dir, 'none'), 'audit']);
  expect(missing).toMatchObject({ code: 2, err: expect.stringContaining('there is no such file') });
  expect(fake.calls).toEqual([]);
});
