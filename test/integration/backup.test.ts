import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  compareWith,
  findClients,
  openStore,
  readManifest,
  restoreBackup,
  sentenceOf,
  takeBackup,
  type ClientPrograms,
  type DatabaseAddress,
  type ObjectStore,
} from '@berth/agent/backup/backup';
import type { BackupManifest } from '@berth/shared/domain/backup';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { clock, dumpPrograms, identity, keysIn, noise, unfinishedIn } from '../support/backups.ts';
import { startCluster, type Cluster } from '../support/cluster.ts';

/** Every character that a shell, a URL, libpq or SQL might read as something else. */
const ODD = `o'd"d =\\$(x);%2f@:/?#&é `;
const role = { user: `te'n"a=n\\t`, password: `p%'w/@:"\\ $x=é` };
const signal = new AbortController().signal;

let cluster: Cluster;
let clients: ClientPrograms;
let folder: string;
let store: ObjectStore;
let made = 0;

const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`;
const at = (database: string): DatabaseAddress => ({ kind: 'url', url: cluster.url(database, role) });
/** An empty database of the tenant's. */
async function database(name = `db_${(made += 1)}`): Promise<string> {
  await cluster.sql('postgres', `create database ${quoted(name)} owner ${quoted(role.user)}`);
  return name;
}
const asTenant = (name: string, statements: string): Promise<string> =>
  cluster.sql(name, `set role ${quoted(role.user)}; ${statements}`);
const take = (name: string): Promise<BackupManifest> =>
  takeBackup({ source: at(name), store, identity: identity(), clients, clock, signal });
const restore = (manifest: BackupManifest, name: string): Promise<{ tookMs: number }> =>
  restoreBackup({ manifest, store, target: at(name), clients, clock, signal });
const fileOf = (manifest: BackupManifest): string => join(folder, 'shop/acme', `${manifest.backup}.dump.zst`);

beforeAll(async () => {
  cluster = await startCluster();
  clients = await findClients();
  await cluster.sql(
    'postgres',
    `create role ${quoted(role.user)} login password '${role.password.replaceAll("'", "''")}'`,
  );
});
afterAll(() => cluster?.stop());
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'berth-backup-'));
  store = await openStore({ kind: 'directory', path: folder });
  return () => rmSync(folder, { recursive: true, force: true });
});

/** Of every kind of definition one that dumps are known to get wrong. */
const EVERYTHING = `
  create schema "Odd. schema";
  create type mood as enum ('low', 'high');
  create domain positive as int check (value > 0);
  create table "Odd. schema"."T ""q"".y'" (a positive, m mood, twice int generated always as (a * 2) stored);
  insert into "Odd. schema"."T ""q"".y'" values (1, 'low'), (2, 'high');
  create table orders (
    id bigserial primary key, state varchar(10) not null default 'new' check (state in ('new', 'paid')),
    gone int, body text, unique (state, id));
  insert into orders (body) select repeat(md5(i::text), 5) from generate_series(1, 3000) i;
  alter table orders drop column gone;
  alter table orders add column late int default 5;
  create index on orders (lower(body)) where state in ('new', 'paid');
  create view paid as select id, state from orders where state in ('paid', 'new');
  create materialized view totals as select state, count(*) as n from orders group by 1;
  create table parts (id int, day date) partition by range (day);
  create table parts_2020 partition of parts for values from ('2020-01-01') to ('2021-01-01');
  insert into parts values (1, '2020-05-05');
  create function same(a int) returns int language plpgsql as $$ begin return a; end $$;
  create aggregate own_sum(int) (sfunc = int4pl, stype = int);
  create function checked() returns trigger language plpgsql as $$ begin return new; end $$;
  create trigger checking before insert on orders for each row when (new.state in ('new', 'paid'))
    execute function checked();
  alter table orders enable row level security;
  create policy own on orders using (state in ('new', 'paid'));
  select lo_create(0);
`;

describe('a backup into a directory', () => {
  test('comes back the same: every kind of definition, every row, whatever names and passwords hold', async () => {
    const name = await database(ODD);
    await asTenant(name, EVERYTHING);
    const manifest = await take(name);
    expect(manifest.rows).toEqual({
      '"Odd. schema"."T ""q"".y\'"': 2,
      'public.orders': 3000,
      'public.parts_2020': 1,
      'public.totals': 1,
      'pg_catalog.pg_largeobject': 1,
    });
    expect(statSync(fileOf(manifest)).size).toBe(manifest.bytes);
    expect(manifest.dumpBytes).toBeGreaterThan(manifest.bytes);
    expect(await readManifest(store, manifest, signal)).toEqual(manifest);
    const target = await database();
    await restore(manifest, target);
    expect(await compareWith(manifest, at(target), signal)).toEqual([]);
    expect(await asTenant(target, 'select sum(id) from orders')).toBe('4501500');
  });

  test('holds what was there when its snapshot was taken, while the app goes on writing', async () => {
    const name = await database();
    await asTenant(name, `create table a (n int); insert into a values (1); ${noise(8)}`);
    const wrote: Promise<string>[] = [];
    const manifest = await takeBackup({
      source: at(name),
      store,
      identity: identity(),
      clients,
      clock,
      signal,
      reached: (point) => {
        if (point === 'dumping' && wrote.length === 0)
          wrote.push(
            asTenant(name, 'insert into a select 2 from generate_series(1, 500); delete from noise'),
          );
      },
    });
    expect(wrote).toHaveLength(1);
    await Promise.all(wrote);
    expect(manifest.rows['public.a']).toBe(1);
    const target = await database();
    await restore(manifest, target);
    expect(await compareWith(manifest, at(target), signal)).toEqual([]);
  });

  test('of one schema holds that one and nothing else', async () => {
    const name = await database();
    await asTenant(
      name,
      `create schema "a""*b"; create table "a""*b".mine (n int); insert into "a""*b".mine values (1);
       create schema axb; create table axb.other (n int);`,
    );
    const source: DatabaseAddress = { kind: 'url', url: cluster.url(name, role), schema: 'a"*b' };
    const manifest = await takeBackup({ source, store, identity: identity(), clients, clock, signal });
    expect(manifest.rows).toEqual({ '"a""*b".mine': 1 });
    const target = await database();
    await asTenant(target, 'create schema "a""*b"');
    const into: DatabaseAddress = { ...source, url: cluster.url(target, role) };
    await restoreBackup({ manifest, store, target: into, clients, clock, signal });
    expect(await compareWith(manifest, into, signal)).toEqual([]);
  });

  test('shows no password in an argument of any program, and tells how far it is', async () => {
    const name = await database();
    await asTenant(name, noise(4));
    const argv = new Set<string>();
    const told: string[] = [];
    await takeBackup({
      source: at(name),
      store,
      identity: identity(),
      clients,
      clock,
      signal,
      progress: ({ phase }) => told.push(phase),
      reached: (point) => {
        if (point === 'dumping') for (const one of dumpPrograms(process.pid)) argv.add(one.argv);
      },
    });
    expect(argv.size).toBeGreaterThan(0);
    expect([...argv].filter((text) => text.includes(role.password))).toEqual([]);
    expect(new Set(told)).toEqual(new Set(['dump', 'read-back']));
  });
});

describe('a comparison after a restore', () => {
  test('names every table and every kind of definition that differs', async () => {
    const name = await database();
    await asTenant(name, EVERYTHING);
    const manifest = await take(name);
    const target = await database();
    await restore(manifest, target);
    await asTenant(
      target,
      `delete from orders where id <= 10; drop table parts_2020; create table added (n int);
       alter table orders alter late set default 6; create or replace function same(a int) returns int
       language plpgsql as $$ begin return a + 1; end $$;`,
    );
    const found = (await compareWith(manifest, at(target), signal)).map(sentenceOf).sort();
    expect(found).toEqual(
      [
        'columns are defined otherwise',
        'functions are defined otherwise',
        'tables are defined otherwise',
        'public.added is there too (0 rows)',
        'public.orders has 2990 rows instead of 3000',
        'public.parts_2020 is missing (1 rows)',
      ].sort(),
    );
  });
});

describe('a restore', () => {
  async function backup(): Promise<BackupManifest> {
    const name = await database();
    await asTenant(name, noise(4));
    return await take(name);
  }
  const tables = (name: string): Promise<string> =>
    asTenant(
      name,
      "select count(*) from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace",
    );

  test('refuses a database that is not empty, and changes nothing there', async () => {
    const manifest = await backup();
    const target = await database();
    await asTenant(target, 'create table mine (n int)');
    await expect(restore(manifest, target)).rejects.toMatchObject({ code: 'conflict' });
    expect(await tables(target)).toBe('1');
  });

  test('refuses an object that was truncated before it touches the target', async () => {
    const manifest = await backup();
    truncateSync(fileOf(manifest), manifest.bytes - 1000);
    const target = await database();
    await expect(restore(manifest, target)).rejects.toMatchObject({ code: 'backup_mismatch' });
    expect(await tables(target)).toBe('0');
  });

  test.each(['at the beginning', 'in the middle', 'at the end'])(
    'never ends well with an object of which a byte was changed %s',
    async (where) => {
      const manifest = await backup();
      const bytes = readFileSync(fileOf(manifest));
      const place =
        where === 'at the beginning' ? 40 : where === 'in the middle' ? bytes.length >> 1 : bytes.length - 2;
      bytes[place] = (bytes[place] ?? 0) ^ 0x10;
      writeFileSync(fileOf(manifest), bytes);
      await expect(restore(manifest, await database())).rejects.toMatchObject({ code: 'backup_mismatch' });
      expect(dumpPrograms(process.pid)).toEqual([]);
    },
  );

  test('refuses when the manifest in the store is not the one that was noted, and names what differs', async () => {
    const manifest = await backup();
    const path = fileOf(manifest).replace('.dump.zst', '.json');
    writeFileSync(path, JSON.stringify({ ...manifest, rows: { 'public.noise': 5 } }));
    const target = await database();
    await expect(restore(manifest, target)).rejects.toThrow(/rows differ/);
    writeFileSync(path, '{"version":1}');
    await expect(restore(manifest, target)).rejects.toMatchObject({ code: 'backup_mismatch' });
    rmSync(path);
    await expect(restore(manifest, target)).rejects.toMatchObject({ code: 'not_found' });
    expect(await tables(target)).toBe('0');
  });

  test('that is killed midway rejects, and a new one into another database goes well', async () => {
    const name = await database();
    await asTenant(name, noise(16));
    const manifest = await take(name);
    let killed = false;
    const half = restoreBackup({
      manifest,
      store,
      target: at(await database()),
      clients,
      clock,
      signal,
      progress: () => {
        const [program] = dumpPrograms(process.pid).filter((one) => one.name === 'pg_restore');
        if (killed || program === undefined) return;
        killed = true;
        process.kill(program.pid, 'SIGKILL');
      },
    });
    await expect(half).rejects.toMatchObject({ code: 'backup_restore_failed' });
    const target = await database();
    await restore(manifest, target);
    expect(await compareWith(manifest, at(target), signal)).toEqual([]);
  });
});

test('a dump that is over before the store begins to read comes whole all the same', async () => {
  const name = await database();
  await asTenant(name, 'create table t (n int)');
  const slow: ObjectStore = {
    ...store,
    put: async (key, body, options) => {
      if (key.endsWith('.zst'))
        await expect.poll(() => dumpPrograms(process.pid), { timeout: 10_000 }).toEqual([]);
      return await store.put(key, body, options);
    },
  };
  const source = at(name);
  const manifest = await takeBackup({ source, store: slow, identity: identity(), clients, clock, signal });
  expect(statSync(fileOf(manifest)).size).toBe(manifest.bytes);
});

test('a name that is taken is refused before anything is dumped', async () => {
  const name = await database();
  const who = identity();
  const once = (): Promise<BackupManifest> =>
    takeBackup({ source: at(name), store, identity: who, clients, clock, signal });
  await once();
  await expect(once()).rejects.toMatchObject({ code: 'conflict' });
  expect(await keysIn(store)).toHaveLength(2);
  expect(await unfinishedIn(store)).toEqual([]);
  expect(readdirSync(join(folder, 'shop/acme'))).toHaveLength(2);
});
