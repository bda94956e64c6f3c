import { createServer } from 'node:net';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  parseServerAddress,
  tenantAddress,
} from '../../packages/coordinator/src/services/database-address.ts';
import { databaseNames } from '../../packages/coordinator/src/services/database-names.ts';
import type { DatabasePlan, PostgresSession } from '../../packages/coordinator/src/services/postgres.ts';
import { openPostgres } from '../../packages/coordinator/src/postgres/open.ts';
import { startPostgres, type PostgresCluster } from './support/postgres.ts';
import { selfSigned } from './support/self-signed.ts';

/** Tenants' databases on a real server: by a superuser, and by one who may only make databases and roles (as on RDS). */

const PASSWORD = `a'"@/\\?#%: &=+$ü€😀`;
let cluster: PostgresCluster;
let port = 0;

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise<void>((resolve) => server.close(() => resolve()));
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

/** As the machine's own administrator. */
async function sql<Row extends pg.QueryResultRow>(text: string, database = 'postgres'): Promise<Row[]> {
  const client = new pg.Client({ host: cluster.dir, port, user: 'berth', database });
  await client.connect();
  try {
    return (await client.query<Row>(text)).rows;
  } finally {
    await client.end();
  }
}

/** With a tenant's address; answers the rows of a statement. */
async function as(url: string, text: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(text)).rows;
  } finally {
    await client.end();
  }
}

const tls = selfSigned('db.test');
beforeAll(async () => {
  port = await freePort();
  cluster = await startPostgres({ listen: port, tls });
  const literal = `'${PASSWORD.replaceAll("'", "''")}'`;
  await sql(`create role "Root User" superuser login password ${literal}`);
  await sql(`create role maker createdb createrole login password ${literal}`);
  await sql(`create role "no maker" login password ${literal}`);
});
afterAll(async () => {
  await cluster?.stop();
  tls.remove();
});

const urlOf = (user: string, more = '?sslmode=disable', password = PASSWORD): string =>
  `postgres://${encodeURIComponent(user)}:${encodeURIComponent(password)}@127.0.0.1:${port}/postgres${more}`;
const connect = (url: string) => openPostgres().connect('main', parseServerAddress(url));

async function withSession<T>(url: string, work: (session: PostgresSession) => Promise<T>): Promise<T> {
  const session = await connect(url);
  try {
    return await work(session);
  } finally {
    await session.close();
  }
}

function planOf(tenant: string, own: 'database' | 'schema', given: Partial<DatabasePlan> = {}): DatabasePlan {
  const app = given.app ?? 'shop';
  return {
    ...databaseNames(tenant, app, own),
    tenant,
    app,
    mark: `mark-of-${tenant}`,
    password: `secret-of-${tenant}-aZ09_-`,
    connections: 3,
    ...given,
  };
}
const addressOf = (plan: DatabasePlan): string =>
  tenantAddress(parseServerAddress(urlOf('maker')), plan.role, plan.password, plan.database);

describe.each([
  ['a superuser', 'Root User', 'su'],
  ['one who may make databases and roles', 'maker', 'mk'],
])('by %s', (_who, user, short) => {
  const admin = (): string => urlOf(user);

  test('tenants have databases of their own, which nobody else can connect to', async () => {
    const plans = [planOf(`${short}-one`, 'database'), planOf(`${short}-two`, 'database')];
    await withSession(admin(), async (session) => {
      for (const plan of plans) await session.provision(plan);
    });
    for (const plan of plans) {
      await as(addressOf(plan), 'create table things (id int primary key, note text)');
      await as(addressOf(plan), `insert into things values (1, '${plan.tenant}')`);
      expect(await as(addressOf(plan), 'select note from things')).toEqual([{ note: plan.tenant }]);
    }
    const [one, two] = plans;
    if (one === undefined || two === undefined) throw new Error('there are two');
    for (const [mine, theirs] of [
      [one, two],
      [two, one],
    ] as const) {
      const elsewhere = addressOf(mine).replace(`/${mine.database}?`, `/${theirs.database}?`);
      await expect(as(elsewhere, 'select 1')).rejects.toMatchObject({ code: '42501' });
      await expect(as(addressOf(mine), `set role ${theirs.role}`)).rejects.toMatchObject({ code: '42501' });
      await expect(as(addressOf(mine), `grant ${theirs.role} to ${mine.role}`)).rejects.toThrow();
      await expect(as(addressOf(mine), `alter role ${theirs.role} password 'x'`)).rejects.toThrow();
      await expect(as(addressOf(mine), 'create database more')).rejects.toMatchObject({ code: '42501' });
      await expect(as(addressOf(mine), 'create role more')).rejects.toMatchObject({ code: '42501' });
      await expect(as(addressOf(mine), `drop database ${theirs.database}`)).rejects.toMatchObject({
        code: '42501',
      });
      await expect(as(addressOf(mine), `alter role ${mine.role} connection limit 99`)).rejects.toThrow();
    }
    const [role] = await sql(`select rolsuper, rolinherit, rolcreatedb, rolcreaterole, rolreplication,
      rolbypassrls, rolconnlimit from pg_roles where rolname = '${one.role}'`);
    expect(role).toEqual({
      rolsuper: false,
      rolinherit: true,
      rolcreatedb: false,
      rolcreaterole: false,
      rolreplication: false,
      rolbypassrls: false,
      rolconnlimit: 3,
    });
  });

  test('tenants have schemas of their own in the app’s database, and no rights outside them', async () => {
    const app = `${short}-app`;
    const plans = [planOf(`${short}-s1`, 'schema', { app }), planOf(`${short}-s2`, 'schema', { app })];
    await withSession(admin(), async (session) => {
      for (const plan of plans) await session.provision(plan);
    });
    const [one, two] = plans;
    if (one === undefined || two === undefined) throw new Error('there are two');
    expect(one.database).toBe(two.database);
    for (const plan of plans) {
      await as(addressOf(plan), `create table things (note text)`);
      await as(addressOf(plan), `insert into things values ('${plan.tenant}')`);
      expect(await as(addressOf(plan), 'select note from things')).toEqual([{ note: plan.tenant }]);
      expect(await as(addressOf(plan), 'show search_path')).toEqual([{ search_path: plan.schema }]);
    }
    for (const [mine, theirs] of [
      [one, two],
      [two, one],
    ] as const) {
      for (const text of [
        `select * from ${theirs.schema}.things`,
        `insert into ${theirs.schema}.things values ('x')`,
        `drop schema ${theirs.schema} cascade`,
        `create table ${theirs.schema}.more (id int)`,
        'create table public.more (id int)',
        'create schema more',
        `set role ${theirs.role}`,
      ])
        await expect(as(addressOf(mine), text), text).rejects.toMatchObject({ code: '42501' });
    }
    // An own database of the same server stays shut to them, too.
    const own = planOf(`${short}-s3`, 'database');
    await withSession(admin(), (session) => session.provision(own));
    const there = addressOf(one).replace(`/${one.database}?`, `/${own.database}?`);
    await expect(as(there, 'select 1')).rejects.toMatchObject({ code: '42501' });
    const back = addressOf(own).replace(`/${own.database}?`, `/${one.database}?`);
    await expect(as(back, 'select 1')).rejects.toMatchObject({ code: '42501' });
  });

  test.each(['database', 'schema'] as const)(
    'are made again without harm, with a new password and limit (%s)',
    async (own) => {
      const plan = planOf(`${short}-again-${own}`, own, { app: `${short}-app` });
      await withSession(admin(), (session) => session.provision(plan));
      await as(addressOf(plan), 'create table kept (id int)');
      const later = { ...plan, password: 'another_one', connections: 5 };
      await withSession(admin(), (session) => session.provision(later));
      await expect(as(addressOf(plan), 'select 1')).rejects.toMatchObject({ code: '28P01' });
      expect(await as(addressOf(later), 'select * from kept')).toEqual([]);
      const [role] = await sql(`select rolconnlimit from pg_roles where rolname = '${plan.role}'`);
      expect(role).toEqual({ rolconnlimit: 5 });
    },
  );

  test.each(['database', 'schema'] as const)(
    'are gone on with wherever the making was cut off (%s)',
    async (own) => {
      const plan = planOf(`${short}-cut-${own}`, own, { app: `${short}-cut` });
      // What each of the steps leaves, as a connection that is lost there would.
      await sql(`create role ${plan.role} login noinherit`);
      await sql(
        `comment on role ${plan.role} is 'Berth: tenant ${plan.tenant} of app ${plan.app} (${plan.mark})'`,
      );
      const owner = own === 'database' ? plan.role : `"${user}"`;
      await sql(`create database ${plan.database} owner ${owner} template template0 allow_connections false`);
      await withSession(admin(), (session) => session.provision(plan));
      await as(addressOf(plan), 'create table things (id int)');
      const [open] = await sql(
        `select has_database_privilege('public', '${plan.database}', 'CONNECT') as open`,
      );
      expect(open).toEqual({ open: false });
    },
  );

  test('what others made is left alone, and named', async () => {
    const role = planOf(`${short}-theirs`, 'database');
    await sql(`create role ${role.role} login`);
    const thrown: unknown = await withSession(admin(), (session) => session.provision(role)).catch(
      (error: unknown) => error,
    );
    expect(thrown).toMatchObject({ code: 'conflict' });
    expect(String(thrown)).toMatch(new RegExp(`has a role ${role.role} already`));
    const database = planOf(`${short}-base`, 'database');
    await sql(`create database ${database.database}`);
    await expect(withSession(admin(), (session) => session.provision(database))).rejects.toThrow(
      /has a database .* already/,
    );
    await expect(withSession(admin(), (session) => session.drop(role))).rejects.toThrow(
      /nothing was removed/,
    );
    expect(await sql(`select 1 from pg_roles where rolname = '${role.role}'`)).toHaveLength(1);
  });

  test.each(['database', 'schema'] as const)(
    'are taken away for good, with whoever is connected, and again without harm (%s)',
    async (own) => {
      const plan = planOf(`${short}-drop-${own}`, own, { app: `${short}-drop` });
      const other = planOf(`${short}-stays-${own}`, own, { app: `${short}-drop` });
      await withSession(admin(), async (session) => {
        await session.provision(plan);
        await session.provision(other);
      });
      await as(addressOf(other), 'create table kept (id int)');
      const busy = new pg.Client({ connectionString: addressOf(plan) });
      busy.on('error', () => {});
      await busy.connect();
      await busy.query('create table things (id int)');
      await withSession(admin(), async (session) => {
        await session.drop(plan);
        await session.drop(plan);
      });
      await busy.end().catch(() => undefined);
      await expect(as(addressOf(plan), 'select 1')).rejects.toMatchObject({ code: '28P01' });
      expect(await as(addressOf(other), 'select * from kept')).toEqual([]);
    },
  );

  test('many at once are made one after another', async () => {
    const plans = Array.from({ length: 6 }, (_, index) =>
      planOf(`${short}-many-${index}`, 'schema', { app: `${short}-app` }),
    );
    await Promise.all(plans.map((plan) => withSession(admin(), (session) => session.provision(plan))));
    for (const plan of plans) expect(await as(addressOf(plan), 'select 1 as one')).toEqual([{ one: 1 }]);
  });
});

describe('a server', () => {
  test('says its version, what is in use and which databases everybody may connect to', async () => {
    const facts = await withSession(urlOf('maker'), (session) => session.facts());
    expect(facts).toMatchObject({ tls: 'plain', connections: { most: 60 } });
    expect(facts.version).toMatch(/^\d+/);
    expect(facts.open).toContain('postgres');
    expect(facts.open).not.toContain('berth_t_su_one');
  });

  test('is spoken to with TLS as its address says', async () => {
    const tlsOf = async (more: string) =>
      (await withSession(urlOf('maker', more), (session) => session.facts())).tls;
    expect(await tlsOf('')).toBe('encrypted');
    expect(await tlsOf('?sslmode=require')).toBe('encrypted');
    expect(await tlsOf('?sslmode=allow')).toBe('plain');
    expect(await tlsOf(`?sslmode=verify-ca&sslrootcert=${encodeURIComponent(tls.file)}`)).toBe('encrypted');
    await expect(tlsOf('?sslmode=verify-ca')).rejects.toThrow(/nobody whom the coordinator trusts/);
    await expect(tlsOf(`?sslmode=verify-full&sslrootcert=${encodeURIComponent(tls.file)}`)).rejects.toThrow(
      /certificate is not for 127.0.0.1/,
    );
    await expect(tlsOf('?sslmode=verify-full&sslrootcert=/nowhere.pem')).rejects.toThrow(
      /sslrootcert cannot be read/,
    );
  });

  test.each<[string, () => string, RegExp]>([
    ['a wrong password', () => urlOf('maker', undefined, 'wrong'), /refuses the password of maker/],
    ['a user there is not', () => urlOf('nobody'), /refuses the password of nobody/],
    ['a database there is not', () => urlOf('maker').replace('/postgres?', '/none?'), /has no database none/],
    ['another port', () => urlOf('maker').replace(`:${port}/`, ':1/'), /nothing answers at 127.0.0.1:1/],
    [
      'a name that is nobody’s',
      () => urlOf('maker').replace('@127.0.0.1', '@db.invalid'),
      /name db.invalid is not known/,
    ],
  ])('says what is wrong with %s, without the address', async (_what, url, sentence) => {
    const thrown: unknown = await connect(url()).catch((error: unknown) => error);
    expect(thrown).toMatchObject({ code: 'unavailable' });
    expect(String(thrown)).toMatch(sentence);
    expect(JSON.stringify(thrown) + String(thrown)).not.toContain(encodeURIComponent(PASSWORD));
    expect(String(thrown)).not.toContain(PASSWORD);
  });

  test('whose user may not make databases and roles is refused with what to do', async () => {
    await expect(withSession(urlOf('no maker'), (session) => session.facts())).rejects.toThrow(
      /may not make databases and roles. On the server: ALTER ROLE "no maker" CREATEDB CREATEROLE;/,
    );
  });

  test('that is stopped midway is said, and the making goes on when it is back', async () => {
    const plan = planOf('midway', 'database');
    const session = await connect(urlOf('maker'));
    await cluster.pause();
    await expect(session.provision(plan)).rejects.toMatchObject({ code: 'unavailable' });
    await session.close();
    await expect(connect(urlOf('maker'))).rejects.toThrow(/nothing answers/);
    await cluster.restart();
    await withSession(urlOf('maker'), (again) => again.provision(plan));
    expect(await as(addressOf(plan), 'select 1 as one')).toEqual([{ one: 1 }]);
  });
});
