import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { expect, test } from 'vitest';
import { EVERYTHING } from '@berth/shared/domain/access';
import { createDialect } from '../../src/store/dialect.ts';
import { migrate } from '../../src/store/migrate.ts';
import { foundation } from '../../src/store/migrations/0001-foundation.ts';
import { releases } from '../../src/store/migrations/0002-releases.ts';
import { rollouts } from '../../src/store/migrations/0003-rollouts.ts';
import { openStore } from '../../src/store/open.ts';
import { faultOf } from '../support/audit.ts';
import { BY } from '../support/samples.ts';

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

test('records of the audit from before the chain are chained, whatever is in them and however many', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'berth-upgrade-'));
  const path = join(dir, 'berth.db');
  try {
    const first = await createDialect({ kind: 'sqlite', path });
    await migrate(first, [foundation]);
    await first.db.destroy();
    const file = new Database(path);
    const insert = file.prepare(
      `insert into audit (id, at, actor, action, subject, request_id, "before", "after") values (?, 5, 'token:t_1', 'app.created', 'shop', 'r', ?, ?)`,
    );
    const rows = 1_203;
    file.transaction(() => {
      for (let n = 1; n <= rows; n++) insert.run(n, 'null', `{"z": ${n}, "10": 1, "9": 2, "a": "é"}`);
      file.prepare(`update audit set "after" = 'broken by hand' where id = 7`).run();
      file.prepare('update meta set last_audit = ?').run(rows);
    })();
    file.close();
    const store = await openStore({ kind: 'sqlite', path });
    try {
      expect(await faultOf(store)).toBeNull();
      expect(await store.auditHead()).toMatchObject({ number: rows });
      const [newest] = await store.audit(undefined, 1);
      expect(newest).toMatchObject({ id: rows, at: 5, after: { a: 'é', 9: 2, 10: 1, z: rows } });
      expect((await store.auditAfter(6, 1))[0]?.after).toEqual({ unreadable: 'broken by hand' });
      await store.fleet.enterObserveOnly('because', 1);
      expect(await store.auditHead()).toMatchObject({ number: rows + 1 });
      expect(await faultOf(store)).toBeNull();
    } finally {
      await store.close();
    }
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});

test('a token from before tokens had a scope is good for everything', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'berth-upgrade-'));
  const path = join(dir, 'berth.db');
  try {
    const first = await createDialect({ kind: 'sqlite', path });
    await migrate(first, [foundation]);
    await first.db.destroy();
    const file = new Database(path);
    file.exec(
      "insert into tokens (id, name, role, hash, created_at) values ('t_1', 'ops', 'admin', 'hash', 1)",
    );
    file.close();
    const store = await openStore({ kind: 'sqlite', path });
    try {
      expect(await store.tokenByHash('hash')).toMatchObject({ role: 'admin', scope: EVERYTHING });
    } finally {
      await store.close();
    }
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});

test('events from before there was an index of them by tenant are in it', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'berth-upgrade-'));
  const path = join(dir, 'berth.db');
  try {
    const first = await createDialect({ kind: 'sqlite', path });
    await migrate(first, [foundation]);
    await first.db.destroy();
    const file = new Database(path);
    const insert = file.prepare(
      `insert into events (id, at, kind, tenant, message, details, source, host)
       values (?, 1, 'tenant.live', ?, 'x', '{"n":1}', ?, 'h')`,
    );
    for (let id = 1; id <= 30; id += 1)
      insert.run(id, id % 3 === 0 ? null : id % 3 === 1 ? 'acme' : 'globex', id === 4 ? 'own-4' : null);
    file.exec('update meta set last_event = 30');
    file.close();
    const store = await openStore({ kind: 'sqlite', path });
    try {
      const acme = await store.events({ tenant: 'acme' }, 0, 100);
      expect(acme.map(({ id }) => id)).toEqual([1, 4, 7, 10, 13, 16, 19, 22, 25, 28]);
      expect(acme[0]).toMatchObject({ kind: 'tenant.live', details: { n: 1 }, host: 'h' });
      expect(await store.events({}, 0, 100)).toHaveLength(30);
      await store.mutate(BY, 1, async (tx) => {
        const event = { at: 1, kind: 'tenant.live', tenant: 'acme', app: null, host: null } as const;
        await tx.addEvents([{ ...event, generation: 1, message: 'x', details: {} }]);
        return { result: null, audit: 'bookkeeping' };
      });
      expect((await store.events({ tenant: 'acme' }, undefined, 2)).map(({ id }) => id)).toEqual([28, 31]);
    } finally {
      await store.close();
    }
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});

test('histories from before each thing had an entry of its own are kept, in their order', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'berth-upgrade-'));
  const path = join(dir, 'berth.db');
  try {
    const first = await createDialect({ kind: 'sqlite', path });
    await migrate(first, [foundation, releases, rollouts]);
    await first.db.destroy();
    const file = new Database(path);
    file.exec(
      `insert into tenant_history (tenant, generation, at, actor, what, release, rollout, ms, message) values
         ('acme', 2, 30, 'ann', 'returned', 1, 7, null, 'back'), ('acme', 1, 10, 'ann', 'created', 1, null, 5, 'made'),
         ('acme', 3, 20, 'ann', 'failed', 2, 7, null, 'broke'), ('globex', 1, 40, 'bob', 'created', 1, null, 6, 'made')`,
    );
    file.close();
    const store = await openStore({ kind: 'sqlite', path });
    try {
      const acme = await store.tenantHistory('acme', 10);
      expect(acme.map(({ at, what, generation }) => [at, what, generation])).toEqual([
        [30, 'returned', 2],
        [20, 'failed', 3],
        [10, 'created', 1],
      ]);
      expect(await store.tenantHistory('globex', 10)).toEqual([
        {
          at: 40,
          by: 'bob',
          what: 'created',
          release: 1,
          generation: 1,
          rollout: null,
          ms: 6,
          message: 'made',
        },
      ]);
    } finally {
      await store.close();
    }
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});
