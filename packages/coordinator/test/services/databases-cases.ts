import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { StartRollout } from '@berth/shared/api/rollouts';
import { FakePostgres } from '../../../../test/fakes/postgres.ts';
import { openVault } from '../../src/secrets/vault.ts';
import { SERVERS_OWNER } from '../../src/services/secret-store.ts';
import type { Vault } from '../../src/services/vault.ts';
import type { StoreOptions } from '../../src/store/open.ts';
import { testServices, type TestServices } from '../support/coordinator.ts';
import { BY, report } from '../support/samples.ts';
import { sealingHost } from '../support/sealing-host.ts';

const PASSWORD = 'p@ss/w?rd#%:Ä';
const URL_OF = (password = PASSWORD, host = 'db.test'): string =>
  `postgres://admin:${encodeURIComponent(password)}@${host}:5432/postgres?sslmode=disable`;

const compose = (database: string, more = ''): string => `
services:
  web: { image: shop, x-berth: { route: { port: 80 } } }
${database === '' ? '' : `x-berth: { database: ${database} }`}
${more}`;

/** Databases of tenants at a server that only remembers, over a store of either kind. */
export function databaseCases(where: () => Promise<StoreOptions | undefined>): void {
  let dir: string;
  let vault: Vault;
  let pg: FakePostgres;
  let t: TestServices;
  let host: string;

  beforeEach(async () => {
    dir = mkdtempSync(join(tmpdir(), 'berth-databases-'));
    vault = openVault({ keyFile: join(dir, 'key'), kms: null });
    pg = new FakePostgres();
    t = await testServices({ store: await where(), vault, postgres: pg });
    host = await sealingHost(t);
  });
  afterEach(async () => {
    expect(pg.connections).toBe(0);
    await t.close();
    rmSync(dir, { recursive: true, force: true });
  });

  const apply = (database: string, app = 'shop') =>
    t.services.apps.apply(BY, app, { compose: compose(database), envFiles: {}, labels: {}, set: {} });
  const add = (server = 'main', given: { url?: string; replace?: boolean; default?: boolean } = {}) =>
    t.services.databases.set(BY, server, { url: URL_OF(), replace: false, default: false, ...given });
  const create = (tenant = 'acme', app = 'shop', secrets = {}, takeUpDatabase?: boolean) =>
    t.services.tenants.create(BY, {
      tenant,
      app,
      domains: [`${tenant}-${app}.example.com`],
      variables: {},
      secrets,
      host,
      tags: [],
      ...(takeUpDatabase === undefined ? {} : { takeUpDatabase }),
    });
  async function addressOf(tenant: string): Promise<URL> {
    const [info] = (await t.store.secretsOf(tenant)).filter(({ name }) => name === 'DATABASE_URL');
    if (info === undefined) throw new Error('there is no address');
    const kept = await t.store.secret(info);
    if (kept?.content.kind !== 'sealed') throw new Error('it is not sealed');
    return new URL(String(await vault.open(kept, kept.content.sealed)));
  }
  const desired = async (tenant = 'acme') => await t.store.desiredTenant(host, tenant);
  const actions = async () => (await t.store.audit(undefined, 100)).map((row) => row.action);

  describe('a database server', () => {
    test('is connected to before it is kept, and what an administrator should know is said', async () => {
      const done = await add();
      expect(done).toMatchObject({ server: 'main', version: '15.8', tls: 'plain' });
      expect(done.notes.join('\n')).toMatch(
        /not encrypted[\s\S]*Every role may connect to postgres[\s\S]*90 of 100/,
      );
      expect(pg.addresses).toEqual([expect.objectContaining({ user: 'admin', password: PASSWORD })]);
      expect(await t.services.databases.list()).toEqual([
        expect.objectContaining({ server: 'main', host: 'db.test', standing: 'default', tenants: 0 }),
      ]);
    });

    test('that does not answer is not kept', async () => {
      pg.state = 'away';
      await expect(add()).rejects.toMatchObject({ code: 'unavailable' });
      expect(await t.services.databases.list()).toEqual([]);
      expect(await t.store.secretsOf(SERVERS_OWNER)).toEqual([]);
    });

    test('has its address sealed, and nowhere else', async () => {
      await add();
      await add('main', { replace: true });
      const kept = JSON.stringify([
        await t.store.audit(undefined, 100),
        await t.services.databases.show('main'),
        await t.store.events({}, undefined, 100),
      ]);
      for (const secret of [PASSWORD, encodeURIComponent(PASSWORD)]) expect(kept).not.toContain(secret);
      expect(await actions()).toEqual([
        'database-server.changed',
        'database-server.added',
        ...(await actions()).slice(2),
      ]);
      const versions = await t.store.secretsOf(SERVERS_OWNER);
      expect(versions.map(({ name, version }) => [name, version])).toEqual([['main', 2]]);
    });

    test('goes with a new key like everything else that is sealed', async () => {
      await add();
      const { before, current, rewrapped } = await t.services.secrets.rotateKey(BY);
      expect(current).not.toBe(before);
      expect(rewrapped).toBe(1);
      expect(await t.services.databases.check('main')).toMatchObject({ version: '15.8' });
      expect((await t.store.secretsOf(SERVERS_OWNER)).map(({ key }) => key)).toEqual([current]);
    });

    test('is not added twice by mistake, and does not move from under its tenants', async () => {
      await add();
      await expect(add()).rejects.toThrow(/already, at db.test:5432. Add --replace/);
      await apply('{ engine: postgres }');
      await create();
      await expect(add('main', { replace: true, url: URL_OF('x', 'other.test') })).rejects.toThrow(
        /their addresses say so/,
      );
      await add('main', { replace: true, url: URL_OF('changed') });
      expect(pg.addresses.at(-1)?.password).toBe('changed');
    });

    test('is forgotten only when it holds nothing', async () => {
      await add();
      await apply('{ engine: postgres }');
      await create();
      await expect(t.services.databases.remove(BY, 'main', 'refuse')).rejects.toThrow(/holds data of acme/);
      await add('second');
      await t.services.databases.remove(BY, 'second', 'refuse');
      expect((await t.services.databases.list()).map((each) => each.server)).toEqual(['main']);
      expect((await t.store.secretsOf(SERVERS_OWNER)).map(({ name }) => name)).toEqual(['main']);
    });
  });

  describe('a tenant of an app with a database', () => {
    beforeEach(async () => {
      await add();
      await apply('{ engine: postgres, connections: 7 }');
    });

    test('gets a role and a database, and their address as a secret of each service', async () => {
      await create();
      const plan = pg.roles.get('berth_t_acme');
      expect(plan).toMatchObject({ database: 'berth_t_acme', schema: null, connections: 7, tenant: 'acme' });
      const address = await addressOf('acme');
      expect(address.host).toBe('db.test:5432');
      expect(address.pathname).toBe('/berth_t_acme');
      expect(address.searchParams.get('sslmode')).toBe('disable');
      expect(decodeURIComponent(address.password)).toBe(plan?.password);
      const [web] = (await desired())?.spec.services ?? [];
      expect(Object.keys(web?.secretEnv ?? {})).toEqual(['DATABASE_URL']);
      expect(web?.secretEnv?.['DATABASE_URL']?.id).not.toBe('0'.repeat(16));
      expect((await t.services.tenants.show('acme')).database).toMatchObject({
        server: 'main',
        database: 'berth_t_acme',
        state: 'ready',
      });
      expect((await t.services.questions.explain('acme')).database?.role).toBe('berth_t_acme');
      expect((await actions()).slice(0, 2)).toEqual(['tenant.created', 'tenant-database.made']);
    });

    test('that is refused for another reason makes nothing at the server', async () => {
      await create();
      pg.roles.clear();
      await expect(create()).rejects.toMatchObject({ code: 'already_exists' });
      const body = { tenant: 'globex', app: 'shop', variables: {}, host, tags: [] };
      const taken = { ...body, domains: ['acme-shop.example.com'] };
      await expect(t.services.tenants.create(BY, taken)).rejects.toMatchObject({ code: 'domain_taken' });
      expect(pg.roles.size).toBe(0);
      expect(await t.store.tenantDatabase('globex')).toBeNull();
    });

    test('is not made while the server is away, and nothing of it stays', async () => {
      pg.state = 'away';
      await expect(create()).rejects.toThrow(/nothing answers/);
      expect(await t.store.tenant('acme')).toBeNull();
      expect(await t.store.tenantDatabase('acme')).toBeNull();
      expect(await t.store.secretsOf('acme')).toEqual([]);
      pg.state = 'up';
      await create();
      expect(pg.roles.size).toBe(1);
    });

    test.each(['before', 'after'] as const)(
      'goes on where it was cut off %s the server had made it, with the same password',
      async (when) => {
        pg.breaks = when;
        await expect(create()).rejects.toMatchObject({ code: 'unavailable' });
        expect(await t.store.tenant('acme')).toBeNull();
        expect((await t.services.databases.show('main')).left).toEqual([
          expect.objectContaining({ tenant: 'acme', state: 'making' }),
        ]);
        const first = decodeURIComponent((await addressOf('acme')).password);
        pg.breaks = 'no';
        await create();
        expect(pg.roles.get('berth_t_acme')?.password).toBe(first);
        expect(decodeURIComponent((await addressOf('acme')).password)).toBe(first);
        expect((await t.services.databases.show('main')).left).toEqual([]);
      },
    );

    test('is made by one of two who try at the same moment, and its password is the one that is kept', async () => {
      const tries = await Promise.allSettled([create(), create()]);
      expect(tries.map((each) => each.status).sort()).toEqual(['fulfilled', 'rejected']);
      expect(decodeURIComponent((await addressOf('acme')).password)).toBe(
        pg.roles.get('berth_t_acme')?.password,
      );
    });

    test('is told that a role of its name is not ours', async () => {
      takenByOthers('acme');
      await expect(create()).rejects.toThrow(/has a role berth_t_acme already/);
      expect(pg.roles.get('berth_t_acme')?.password).toBe('theirs');
    });

    test('may not set that secret by itself, in either order', async () => {
      const own = { DATABASE_URL: { kind: 'value' as const, value: Buffer.from('mine').toString('base64') } };
      await expect(create('acme', 'shop', own)).rejects.toThrow(/that somebody set/);
      await create();
      await expect(t.services.secrets.set(BY, 'acme', own)).rejects.toThrow(/is made by Berth/);
    });

    test('keeps its data when it is deleted, and one of that name takes them up only when that is said, with another password', async () => {
      await create();
      const before = pg.roles.get('berth_t_acme');
      await forget('acme');
      expect(await t.store.secretsOf('acme')).toEqual([]);
      expect(pg.roles.get('berth_t_acme')).toBe(before);
      expect((await t.services.databases.show('main')).left.map(({ tenant }) => tenant)).toEqual(['acme']);
      await expect(create()).rejects.toThrow(
        /its data are kept in berth_t_acme on server main.*--take-up-database/,
      );
      await create('acme', 'shop', {}, true);
      const after = pg.roles.get('berth_t_acme');
      expect(after?.mark).toBe(before?.mark);
      expect(after?.password).not.toBe(before?.password);
      expect(decodeURIComponent((await addressOf('acme')).password)).toBe(after?.password);
      expect(await actions()).toContain('tenant-database.taken-up');
    });

    test('of another app does not get the data of a deleted one', async () => {
      await create();
      await forget('acme');
      await apply('{ engine: postgres }', 'other');
      await expect(create('acme', 'other')).rejects.toThrow(
        /data of a deleted tenant acme are kept, and it was of another app/,
      );
    });

    test('of another pool does not get them either, whatever is said', async () => {
      await create();
      await forget('acme');
      const elsewhere = await sealingHost(t, 'two', 'eu');
      const body = {
        tenant: 'acme',
        app: 'shop',
        domains: ['a.test'],
        variables: {},
        host: elsewhere,
        tags: [],
      };
      await expect(t.services.tenants.create(BY, { ...body, takeUpDatabase: true })).rejects.toThrow(
        /of another app or another pool/,
      );
    });

    test('leaves data that an administrator can delete, once the tenant is gone', async () => {
      await create();
      await expect(t.services.databases.drop(BY, 'acme')).rejects.toThrow(/Delete the tenant first/);
      await forget('acme');
      pg.breaks = 'before';
      await expect(t.services.databases.drop(BY, 'acme')).rejects.toMatchObject({ code: 'unavailable' });
      pg.breaks = 'no';
      await expect(create('acme', 'shop', {}, true)).rejects.toThrow(/about to be deleted/);
      await t.services.databases.drop(BY, 'acme');
      expect(pg.roles.size).toBe(0);
      expect(await t.store.tenantDatabase('acme')).toBeNull();
      await expect(t.services.databases.drop(BY, 'acme')).rejects.toMatchObject({ code: 'not_found' });
      await t.services.databases.remove(BY, 'main', 'refuse');
    });

    test('leaves data that are forgotten with a server that is gone, and only then', async () => {
      await create();
      await create('globex');
      await forget('acme');
      pg.state = 'away';
      await expect(t.services.databases.remove(BY, 'main', 'forget')).rejects.toThrow(/data of globex;/);
      await forget('globex');
      await expect(t.services.databases.remove(BY, 'main', 'refuse')).rejects.toThrow(/acme, globex/);
      await t.services.databases.remove(BY, 'main', 'forget');
      expect(await t.services.databases.list()).toEqual([]);
      expect(await t.store.tenantDatabase('acme')).toBeNull();
    });

    test('changes its connections with a release that says so, and cannot move to another server', async () => {
      await create();
      const { password } = pg.roles.get('berth_t_acme') ?? {};
      await apply('{ engine: postgres, connections: 9 }');
      await t.services.tenants.change(BY, 'acme', { release: 2 });
      expect(pg.roles.get('berth_t_acme')).toMatchObject({ connections: 9, password });
      await add('second');
      await apply('{ engine: postgres, server: second }');
      await expect(t.services.tenants.change(BY, 'acme', { release: 3 })).rejects.toThrow(
        /is on server main, and its release asks for second/,
      );
      await apply('{ engine: postgres, own: schema }');
      await expect(t.services.tenants.change(BY, 'acme', { release: 4 })).rejects.toThrow(/moves no data/);
    });
  });

  describe('which server a database goes on', () => {
    test('is said when there is none, when it is not there, and when it could be several', async () => {
      await apply('{ engine: postgres }');
      await expect(create()).rejects.toThrow(/no server is registered. Add one: berth database add main/);
      await add('eu', {});
      await add('us', {});
      await create();
      expect((await t.store.tenantDatabase('acme'))?.server).toBe('eu');
      await add('us', { replace: true, default: true });
      await create('globex');
      expect((await t.store.tenantDatabase('globex'))?.server).toBe('us');
      await apply('{ engine: postgres, server: asia }', 'other');
      await expect(create('initech', 'other')).rejects.toThrow(/there is no such server/);
    });
  });

  describe('a tenant whose new release is the first to ask', () => {
    test('gets its database when it is moved by hand, and a preview shows what would change without making it', async () => {
      await apply('');
      await create();
      await apply('{ engine: postgres }');
      await add();
      const plan = await t.services.questions.plan('acme', { release: 2 });
      expect(plan.changes.map(({ path }) => path)).toContain('services.web.secretEnv.DATABASE_URL');
      expect(pg.roles.size).toBe(0);
      await t.services.tenants.change(BY, 'acme', { release: 2 });
      expect([...pg.roles.keys()]).toEqual(['berth_t_acme']);
      expect((await desired())?.spec.database?.kind).toBe('managed');
    });

    test('gets it in a rollout before it begins; where it cannot be made, that is the reason', async () => {
      await apply('');
      await create('acme');
      await create('globex');
      for (const tenant of ['acme', 'globex']) await settled(tenant);
      await apply('{ engine: postgres }');
      await add();
      takenByOthers('globex');
      const policy = { waves: [{ target: { kind: 'share', percent: 100 } }], maxFailures: 1 };
      const started = await t.services.rollouts.start(BY, StartRollout.parse({ app: 'shop', to: 2, policy }));
      for (let turns = 0; turns < 5; turns += 1) await t.turn();
      expect(pg.roles.get('berth_t_acme')?.tenant).toBe('acme');
      expect((await desired('acme'))?.release).toBe(2);
      expect((await desired('globex'))?.release).toBe(1);
      const rows = await t.services.rollouts.tenants(started.rollout, {}, { limit: 10 });
      expect(JSON.stringify(rows)).toMatch(/has a role berth_t_globex already/);
      expect(t.problems).toEqual([]);
    });
  });

  /** Somebody else has a role of this tenant's name. */
  function takenByOthers(tenant: string): void {
    const role = `berth_t_${tenant}`;
    const theirs = { role, database: 'x', schema: null, mark: 'other', tenant, app: 'x' };
    pg.roles.set(role, { ...theirs, password: 'theirs', connections: 1 });
  }

  async function settled(tenant: string): Promise<void> {
    const generation = (await t.store.tenant(tenant))?.generation ?? 1;
    const tenants = [report(tenant, { generation, live: generation })];
    await t.store.fleet.ingest([{ host, at: 9, tenants, events: [], report: null, traffic: [] }]);
  }

  /** Deleted, and its host has said that it is gone. */
  async function forget(tenant: string): Promise<void> {
    const { generation } = await t.services.tenants.remove(BY, tenant);
    await t.store.fleet.confirmTombstone(host, tenant, generation, [], 5);
    await t.store.fleet.finishRemoval(host, tenant, generation, 6);
  }
}
