import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { expect, test } from 'vitest';
import { createDialect } from '../../src/store/dialect.ts';
import { migrate } from '../../src/store/migrate.ts';
import { foundation } from '../../src/store/migrations/0001-foundation.ts';
import { openStore } from '../../src/store/open.ts';

test('releases from before images were pinned are as they are named, without variables of their own', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'berth-upgrade-'));
  const path = join(dir, 'berth.db');
  try {
    const first = await createDialect({ kind: 'sqlite', path });
    await migrate(first, [foundation]);
    await first.db.destroy();
    const file = new Database(path);
    file.exec(
      `insert into apps (app, release, created_at, updated_at) values ('shop', 1, 1, 1);
       insert into releases (app, release, digest, compose, env_files, labels, services, created_at, created_by)
       values ('shop', 1, 'd1', 'services: {}', '{}', '{"commit":"abc"}', '["web"]', 1, 'token:t_1')`,
    );
    file.close();
    const store = await openStore({ kind: 'sqlite', path });
    try {
      expect(await store.release('shop', 1)).toEqual({
        app: 'shop',
        release: 1,
        digest: 'd1',
        services: ['web'],
        labels: { commit: 'abc' },
        images: 'as-named',
        createdAt: 1,
        createdBy: 'token:t_1',
        compose: 'services: {}',
        envFiles: {},
        pins: {},
        variables: {},
      });
      expect(await store.releases('shop', undefined, 5)).toMatchObject([{ release: 1, images: 'as-named' }]);
    } finally {
      await store.close();
    }
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});
