import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { fakeApi } from './support/fake-api.ts';
import { run } from './support/run.ts';

let folder: string;
let fake: Awaited<ReturnType<typeof fakeApi>>;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'berth-app-'));
  writeFileSync(
    join(folder, 'compose.yaml'),
    'name: shop\nservices:\n  web:\n    image: shop-web:${VERSION}\n',
  );
  fake = await fakeApi({
    applyApp: () => ({ app: 'shop', release: 2, result: 'created', warnings: [] }),
  });
});
afterEach(async () => {
  await fake.close();
  rmSync(folder, { recursive: true });
});
const apply = (...more: string[]) =>
  run(fake.url, ['app', 'apply', '-f', join(folder, 'compose.yaml'), ...more]);

describe('app apply', () => {
  test('hands over the variables of the release', async () => {
    const { code, out } = await apply('--set', 'VERSION=2', '--set', 'GREETING=a=b');
    expect({ code, out }).toMatchObject({
      code: 0,
      out: expect.stringContaining('shop: release 2 created') as string,
    });
    expect(fake.askedOf('applyApp')[0]?.body).toMatchObject({ set: { VERSION: '2', GREETING: 'a=b' } });
  });

  test('refuses what is no variable before anything is asked', async () => {
    const { code, err } = await apply('--set', 'VERSION');
    expect({ code, err }).toMatchObject({
      code: 2,
      err: expect.stringContaining('--set VERSION is not NAME=VALUE') as string,
    });
    expect(fake.calls).toEqual([]);
  });
});
