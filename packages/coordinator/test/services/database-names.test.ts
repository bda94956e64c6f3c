import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { AppName, TenantName } from '@berth/shared/domain/ids';
import { parseServerAddress, passwordOf, tenantAddress } from '../../src/services/database-address.ts';
import { databaseNames } from '../../src/services/database-names.ts';

const label = fc
  .stringMatching(/^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$/)
  .filter((text) => TenantName.safeParse(text).success && AppName.safeParse(text).success);

describe('what a tenant is called on a server', () => {
  test.each([
    ['acme', 'berth_t_acme'],
    ['a-b--c', 'berth_t_a_b__c'],
    ['0', 'berth_t_0'],
    ['pg', 'berth_t_pg'],
    ['a'.repeat(40), `berth_t_${'a'.repeat(40)}`],
  ])('%s: %s', (tenant, role) => {
    expect(databaseNames(tenant, 'shop', 'database')).toEqual({ role, database: role, schema: null });
    expect(databaseNames(tenant, 'my-shop', 'schema')).toEqual({
      role,
      database: 'berth_app_my_shop',
      schema: role,
    });
  });

  test('is legal without quotes, at most 63 bytes, and no two tenants share it, nor one and an app', () => {
    fc.assert(
      fc.property(fc.uniqueArray(label, { minLength: 2, maxLength: 30 }), label, (tenants, app) => {
        const names = tenants.map((tenant) => databaseNames(tenant, app, 'schema'));
        const all = [...names.map(({ role }) => role), names[0]?.database ?? ''];
        expect(new Set(all).size).toBe(tenants.length + 1);
        for (const name of all) {
          expect(name).toMatch(/^[a-z][a-z0-9_]*$/);
          expect(Buffer.byteLength(name)).toBeLessThanOrEqual(63);
        }
      }),
    );
  });

  test('stays legal and apart for names that no tenant can have today', () => {
    const odd = ['a'.repeat(100), `${'a'.repeat(100)}b`, 'Acme', 'acme!', 'ácme', '"; drop', 'a_b', 'a-b'];
    const roles = odd.map((tenant) => databaseNames(tenant, 'shop', 'database').role);
    expect(new Set(roles).size).toBe(odd.length);
    for (const role of roles) expect(role).toMatch(/^[a-z][a-z0-9_]{0,62}$/);
  });
});

describe('an address', () => {
  const text = fc
    .string({ unit: 'grapheme', minLength: 1, maxLength: 30 })
    .filter((each) => !/\0|^\.\.?$/.test(each) && each.isWellFormed());

  test('carries any role, password and database name there and back', () => {
    fc.assert(
      fc.property(text, text, text, (user, password, database) => {
        const server = { host: 'db.test', port: 6543, sslmode: 'require' as const, sslrootcert: null };
        const address = tenantAddress(server, user, password, database);
        expect(parseServerAddress(address)).toEqual({
          ...server,
          user,
          password,
          database,
        });
        expect(passwordOf(address)).toBe(password);
        expect(address).toMatch(/^[A-Za-z0-9:/@?=%&_.~-]+$/);
      }),
    );
  });

  test('of an IPv6 host keeps its brackets, and gives a tenant no file of the coordinator', () => {
    const server = parseServerAddress(
      'postgresql://admin:x@[2001:db8::1]/?sslmode=verify-full&sslrootcert=/etc/berth/rds.pem&application_name=x',
    );
    expect(server).toMatchObject({ host: '2001:db8::1', port: 5432, database: 'postgres' });
    expect(tenantAddress(server, 'r', 'p', 'd')).toBe(
      'postgres://r:p@[2001:db8::1]:5432/d?sslmode=verify-full',
    );
    expect(tenantAddress({ ...server, sslrootcert: 'system' }, 'r', 'p', 'd')).toMatch(
      /&sslrootcert=system$/,
    );
  });

  test.each<[string, RegExp]>([
    ['http://admin:x@db.test', /must begin with postgres:\/\//],
    ['postgres://admin:a#b@db.test/x', /cannot be read.*%23 for #/],
    ['postgres://admin:a%zz@db.test/x', /write %25 for %/],
    ['postgres://admin@db.test', /no password/],
    ['postgres://:secret@db.test', /no user/],
    ['postgres:///x?host=/run/postgresql', /no host/],
    ['postgres://admin:secret@db.test?sslmode=maybe', /sslmode that there is not/],
    ['postgres://admin:secret@db.test?options=-csearch_path', /asks for options/],
    ['postgres://admin:secret@db.test?sslrootcert=rel.pem', /absolute path/],
  ])('%s is refused with a sentence that does not repeat it', (url, sentence) => {
    let thrown: unknown;
    try {
      parseServerAddress(url);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toMatchObject({ code: 'invalid_request', message: expect.stringMatching(sentence) });
    expect(String(thrown)).not.toMatch(/secret/);
  });
});
