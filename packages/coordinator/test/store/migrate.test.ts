import { sql } from 'kysely';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createDialect, type Dialect } from '../../src/store/dialect.ts';
import { migrate } from '../../src/store/migrate.ts';
import { foundation } from '../../src/store/migrations/0001-foundation.ts';
import { releases } from '../../src/store/migrations/0002-releases.ts';
import { rollouts } from '../../src/store/migrations/0003-rollouts.ts';
import { migrations } from '../../src/store/migrations/index.ts';

let dialect: Dialect;
beforeEach(async () => {
  dialect = await createDialect({ kind: 'sqlite', path: ':memory:' });
});
afterEach(async () => {
  await dialect.db.destroy();
});

async function numbers(): Promise<number[]> {
  const found = await sql<{ number: number }>`select number from schema_versions order by number`.execute(
    dialect.db,
  );
  return found.rows.map((row) => row.number);
}

/** A database as the first version left it: one tenant that runs, one that was removed. */
async function firstVersion(): Promise<void> {
  await migrate(dialect, [foundation]);
  for (const statement of [
    "insert into apps (app, release, created_at, updated_at) values ('shop', 1, 1, 1)",
    `insert into hosts (host, name, public_key, pool, scheduling, revision, digest, acked_epoch, acked_revision,
       memory_bytes, cpus, disk_bytes, facts, connection, created_at)
     values ('h_1', 'one', 'key', 'default', 'open', 0, '', 0, 0, 0, 0, 0, '{}', 'offline', 1)`,
    `insert into tenants (tenant, app, release, generation, state, host, pool, domains, routes, reserved_memory,
       reserved_cpus, surge_memory, created_at, updated_at)
     values ('acme', 'shop', 1, 7, 'running', 'h_1', 'default', '[]', '[]', 0, 0, 0, 1, 1)`,
    // The name's earlier life.
    "insert into generations (tenant, last) values ('acme', 3), ('globex', 4)",
  ])
    await sql.raw(statement).execute(dialect.db);
}

test('the numbers of tenants that run count as given out', async () => {
  await firstVersion();
  await migrate(dialect, migrations);
  const kept = await dialect.db.selectFrom('generations').selectAll().orderBy('tenant').execute();
  expect(kept).toEqual([
    { tenant: 'acme', last: 7 },
    { tenant: 'globex', last: 4 },
  ]);
  const tenant = await dialect.db.selectFrom('tenants').selectAll().executeTakeFirstOrThrow();
  expect(tenant).toMatchObject({ tags: '[]', pinned: null, window: null, generation: 7 });
  expect(await dialect.db.selectFrom('apps').selectAll().execute()).toMatchObject([
    { app: 'shop', frozen: null, current: null },
  ]);
});

test('a migration that a database has not met is made up for, whatever came after it', async () => {
  await firstVersion();
  await migrate(dialect, [foundation, rollouts]);
  expect(await numbers()).toEqual([1, 3]);
  await migrate(dialect, [foundation, releases, rollouts]);
  expect(await numbers()).toEqual([1, 2, 3]);
  await migrate(dialect, migrations);
  expect(await numbers()).toEqual(migrations.map(({ number }) => number));
});
