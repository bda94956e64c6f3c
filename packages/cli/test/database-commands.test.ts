import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { fakeApi } from './support/fake-api.ts';
import { run } from './support/run.ts';

const ADDRESS = 'postgres://admin:s3cret-word@db.example.com/postgres?sslmode=verify-full';
const DATABASE = {
  tenant: 'acme',
  app: 'shop',
  server: 'main',
  database: 'berth_t_acme',
  schema: null,
  role: 'berth_t_acme',
  connections: 20,
  state: 'ready' as const,
  createdAt: 1_000,
};
const SERVER = {
  server: 'main',
  engine: 'postgres' as const,
  host: 'db.example.com',
  port: 5432,
  user: 'admin',
  database: 'postgres',
  sslmode: 'verify-full',
  version: '16.4',
  standing: 'default' as const,
  tenants: 1,
  leftBehind: 1,
  createdAt: 1_000,
  checkedAt: 1_000,
};
const CHECK = {
  server: 'main',
  version: '16.4',
  tls: 'encrypted' as const,
  connections: { most: 200, used: 12 },
  notes: ['Every role may connect to postgres, tenants’ as well.'],
};

let dir = '';
let fake: Awaited<ReturnType<typeof fakeApi>>;
beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'berth-cli-database-'));
  fake = await fakeApi({
    setDatabaseServer: () => CHECK,
    checkDatabaseServer: () => CHECK,
    listDatabaseServers: () => ({ items: [SERVER] }),
    showDatabaseServer: () => ({
      ...SERVER,
      databases: [DATABASE],
      left: [
        { ...DATABASE, tenant: 'gone', schema: 'berth_t_gone', database: 'berth_app_shop', state: 'making' },
      ],
    }),
    removeDatabaseServer: () => ({ result: 'ok' }),
    dropTenantDatabase: () => DATABASE,
  });
});
afterEach(async () => {
  await fake.close();
  rmSync(dir, { recursive: true, force: true });
});
const berth = (...argv: string[]) => run(fake.url, argv, { now: () => 61_000, columns: 110 });
function fileOf(mode: number): string {
  const path = join(dir, 'url');
  writeFileSync(path, `${ADDRESS}\n`);
  chmodSync(path, mode);
  return path;
}

describe('berth database add', () => {
  test('sends the address of a file that is its owner’s, says what was found, and never shows it', async () => {
    const { code, out, err } = await berth(
      'database',
      'add',
      'main',
      '--url-file',
      fileOf(0o600),
      '--default',
    );
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(fake.askedOf('setDatabaseServer')).toMatchObject([
      { params: { server: 'main' }, body: { url: ADDRESS, default: true, replace: false } },
    ]);
    expect(out).toMatch(/PostgreSQL 16\.4[\s\S]*encrypted[\s\S]*12 of 200[\s\S]*Every role may connect/);
    expect(out).not.toContain('s3cret');
  });

  test('refuses a file that others can read, before it is sent', async () => {
    const { code, err } = await berth('database', 'add', 'main', '--url-file', fileOf(0o644));
    expect(code).toBe(2);
    expect(err).toMatch(/can be read by others \(mode 0644\)[\s\S]*chmod 600/);
    expect(fake.askedOf('setDatabaseServer')).toEqual([]);
  });

  test('refuses an address on the command line, without repeating it', async () => {
    const { code, out, err } = await berth('database', 'add', 'main', '--url', ADDRESS);
    expect(code).toBe(2);
    expect(err).toMatch(/can be read by everybody/);
    expect(out + err).not.toContain('s3cret');
  });

  test('says what a server may be called', async () => {
    const { code, err } = await berth('database', 'add', 'Main_1', '--url-file', fileOf(0o600));
    expect({ code, err }).toMatchObject({ code: 2, err: expect.stringMatching(/small letters, digits/) });
  });
});

describe('berth database', () => {
  test('list and show say where the servers are, what is on them and what was left', async () => {
    expect((await berth('database', 'list')).out).toMatch(
      /main \(default\) +db\.example\.com:5432 +PostgreSQL 16\.4 +verify-full +1 +1/,
    );
    const { out } = await berth('database', 'show', 'main');
    expect(out).toMatch(/acme +shop +berth_t_acme on main, role berth_t_acme, 20 connections/);
    expect(out).toMatch(
      /Left by tenants[\s\S]*gone +shop +schema berth_t_gone in berth_app_shop on main[\s\S]*\(begun;/,
    );
    expect(out).toMatch(/berth database drop-tenant gone$/m);
  });

  test('check connects and says what is found', async () => {
    const { out } = await berth('database', 'check', 'main', '--json');
    expect(JSON.parse(out)).toEqual(CHECK);
  });

  test('asks before it forgets a server, and before it deletes data', async () => {
    expect((await berth('database', 'remove', 'main')).code).toBe(2);
    expect((await berth('database', 'drop-tenant', 'acme')).err).toMatch(/--yes-delete/);
    expect(fake.askedOf('removeDatabaseServer')).toEqual([]);
    expect(fake.askedOf('dropTenantDatabase')).toEqual([]);
    expect((await berth('database', 'remove', 'main', '-y')).out).toMatch(/main is forgotten/);
    expect((await berth('database', 'drop-tenant', 'acme', '--yes-delete')).out).toMatch(
      /Database berth_t_acme and role berth_t_acme are gone from main/,
    );
  });
});
