import { expect } from 'vitest';
import type { DatabaseServerRecord, TenantDatabaseRecord } from '../../src/services/database-store.ts';
import { addApp, addHost, contractContext, write, type OpenEmpty } from './contract.ts';
import { record } from '../support/samples.ts';

const server = (name: string, given: Partial<DatabaseServerRecord> = {}): DatabaseServerRecord => ({
  server: name,
  host: `${name}.test`,
  port: 5432,
  user: 'admin',
  database: 'postgres',
  sslmode: 'verify-full',
  sslrootcert: null,
  version: '15.8',
  standing: 'other',
  secretVersion: 1,
  secretId: '0123456789abcdef',
  createdAt: 1,
  checkedAt: 2,
  ...given,
});

const database = (tenant: string, given: Partial<TenantDatabaseRecord> = {}): TenantDatabaseRecord => ({
  tenant,
  app: 'shop',
  pool: 'default',
  server: 'main',
  mark: 'abc',
  role: `berth_t_${tenant}`,
  database: `berth_t_${tenant}`,
  schema: null,
  connections: 20,
  state: 'making',
  secretId: '0123456789abcdef',
  createdAt: 3,
  ...given,
});

/** Servers for tenants' databases, and what tenants have on them. */
export function databasesContract(open: OpenEmpty): void {
  const { on } = contractContext(open);

  on('servers are kept by name, and one at most is the default', async (store) => {
    await write(store, (tx) => tx.putDatabaseServer(server('main', { standing: 'default' })));
    await write(store, (tx) => tx.putDatabaseServer(server('eu', { sslrootcert: '/a.pem' })));
    expect(await store.databaseServers()).toEqual([
      server('eu', { sslrootcert: '/a.pem' }),
      server('main', { standing: 'default' }),
    ]);
    await write(store, (tx) => tx.putDatabaseServer(server('eu', { standing: 'default', port: 6543 })));
    expect((await store.databaseServers()).map((each) => [each.server, each.standing, each.port])).toEqual([
      ['eu', 'default', 6543],
      ['main', 'other', 5432],
    ]);
    await write(store, (tx) => tx.deleteDatabaseServer('eu'));
    expect(await store.databaseServer('eu')).toBeNull();
    expect(await store.databaseServer('main')).toEqual(server('main'));
  });

  on('what a tenant has outlives the tenant, and is counted apart then', async (store) => {
    await addApp(store);
    const host = await addHost(store);
    await write(store, (tx) => tx.insertTenant(record('acme', { host })));
    await write(store, async (tx) => {
      await tx.putTenantDatabase(database('acme'));
      await tx.putTenantDatabase(database('gone', { schema: 'berth_t_gone', database: 'berth_app_shop' }));
      await tx.putTenantDatabase(database('other', { server: 'eu' }));
    });
    await write(store, async (tx) => {
      const present = await tx.tenantDatabase('acme');
      await tx.putTenantDatabase({ ...database('acme'), state: 'ready', mark: present?.mark ?? '' });
    });
    expect(await store.tenantDatabase('acme')).toEqual(database('acme', { state: 'ready' }));
    expect(await store.tenantDatabase('nobody')).toBeNull();
    expect(
      (await store.tenantDatabasesNamed(['other', 'acme', 'nobody'])).map((each) => each.tenant),
    ).toEqual(expect.arrayContaining(['acme', 'other']));
    expect(await store.tenantDatabasesNamed([])).toEqual([]);
    const listed = await store.databasesOn('main', 'all', 10);
    expect(listed.map((each) => [each.tenant, each.of])).toEqual([
      ['acme', 'tenant'],
      ['gone', 'gone'],
    ]);
    expect((await store.databasesOn('main', 'gone', 10)).map((each) => each.schema)).toEqual([
      'berth_t_gone',
    ]);
    expect(await store.databasesOn('main', 'all', 1)).toHaveLength(1);
    expect(await store.databaseCounts()).toEqual(
      new Map([
        ['main', { tenants: 1, gone: 1 }],
        ['eu', { tenants: 0, gone: 1 }],
      ]),
    );
    await write(store, (tx) => tx.deleteTenantDatabase('gone'));
    expect((await store.databaseCounts()).get('main')).toEqual({ tenants: 1, gone: 0 });
  });
}
