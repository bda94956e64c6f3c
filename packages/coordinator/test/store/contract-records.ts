import { expect } from 'vitest';
import type { EventRecord } from '../../src/services/records.ts';
import { BY, hello, hostId, MIB, record, report } from '../support/samples.ts';
import { addApp, addHost, addTenant, contractContext, write, type OpenEmpty } from './contract.ts';

/** What is kept of apps, tenants, hosts, tokens, and the rules that every mutation keeps. */
export function recordsContract(open: OpenEmpty): void {
  const { on } = contractContext(open);

  on(
    'pools are counted by their hosts and tenants, and are there while they have variables',
    async (store) => {
      await addHost(store, 1);
      await addHost(store, 2, 'eu-1');
      await addApp(store);
      await addTenant(store, 'acme');
      await addTenant(store, 'globex');
      await write(store, (tx) => tx.setVariable('pool', 'gone-1', 'A', '1', 1));
      await write(store, (tx) => tx.setVariable('pool', 'eu-1', 'B', '2', 1));
      await write(store, (tx) => tx.setVariable('app', 'eu-1', 'C', '3', 1));
      expect(await store.pools({ limit: 10 })).toEqual([
        { pool: 'default', hosts: 1, tenants: 2 },
        { pool: 'eu-1', hosts: 1, tenants: 0 },
        { pool: 'gone-1', hosts: 0, tenants: 0 },
      ]);
      expect(await store.pools({ limit: 1, after: 'default' })).toEqual([
        { pool: 'eu-1', hosts: 1, tenants: 0 },
      ]);
      expect(await store.pool('default')).toEqual({ pool: 'default', hosts: 1, tenants: 2 });
      expect(await store.pool('nowhere')).toBeNull();
      const shared = await store.sharedVariables('pool', ['eu-1', 'gone-1', 'default']);
      expect(Object.fromEntries(shared)).toEqual({ 'eu-1': { B: '2' }, 'gone-1': { A: '1' } });
    },
  );

  on('a mutation and its audit record are written together or not at all', async (store) => {
    await expect(
      store.mutate(BY, 5, async (tx) => {
        await tx.insertApp('shop', 5);
        throw new Error('changed my mind');
      }),
    ).rejects.toThrow('changed my mind');
    expect(await store.app('shop')).toBeNull();
    expect(await store.audit(undefined, 10)).toEqual([]);

    await store.mutate(BY, 6, async (tx) => {
      await tx.insertApp('shop', 6);
      return {
        result: null,
        audit: { action: 'app.created', subject: 'shop', before: null, after: { release: 1 } },
      };
    });
    expect(await store.app('shop')).toMatchObject({ app: 'shop', tenants: 0, createdAt: 6 });
    expect(await store.audit(undefined, 10)).toMatchObject([
      {
        id: 1,
        at: 6,
        actor: 'test',
        requestId: 'r1',
        action: 'app.created',
        subject: 'shop',
        before: null,
        after: { release: 1 },
      },
    ]);
  });

  on('a mutation that says it changed nothing leaves nothing, whatever it wrote', async (store) => {
    const result = await store.mutate(BY, 5, async (tx) => {
      await tx.insertApp('shop', 5);
      return { result: 'unchanged', audit: null };
    });
    expect(result).toBe('unchanged');
    expect(await store.app('shop')).toBeNull();
    expect(await store.audit(undefined, 10)).toEqual([]);
  });

  on('a mutation that is mere bookkeeping is kept, and has no audit record', async (store) => {
    await store.mutate(BY, 5, async (tx) => {
      await tx.insertApp('shop', 5);
      return { result: null, audit: 'bookkeeping' };
    });
    expect(await store.app('shop')).not.toBeNull();
    expect(await store.audit(undefined, 10)).toEqual([]);
  });

  on('mutations at the same moment get audit and event numbers without a gap', async (store) => {
    await Promise.all(
      Array.from({ length: 20 }, (_, n) =>
        write(store, async (tx) => {
          await tx.insertApp(`app-${n}`, n);
          await tx.addEvents([
            {
              kind: 'app.applied',
              at: n,
              tenant: null,
              app: `app-${n}`,
              host: null,
              generation: null,
              message: 'applied',
              details: {},
            },
          ]);
        }),
      ),
    );
    const numbers = Array.from({ length: 20 }, (_, n) => n + 1);
    expect((await store.audit(undefined, 100)).map((row) => row.id).reverse()).toEqual(numbers);
    expect((await store.events({}, 0, 100)).map((event) => event.id)).toEqual(numbers);
    expect(await store.lastEvent()).toBe(20);
  });

  on('a release comes back as it was written, and its app shows it as the newest', async (store) => {
    await addApp(store);
    expect(await store.release('shop', 1)).toEqual({
      app: 'shop',
      release: 1,
      digest: 'd1',
      services: ['web'],
      labels: { commit: 'abc' },
      images: 'pinned',
      pins: { web: { image: 'r.test/web:1', digest: 'sha256:1', reference: 'r.test/web@sha256:1' } },
      variables: { VERSION: '1' },
      createdAt: 1,
      createdBy: 'test',
      compose: 'services: {}',
      envFiles: { '.env': 'A=1' },
    });
    expect(await store.release('shop', 2)).toBeNull();
    expect(await store.app('shop')).toMatchObject({ release: 1 });
    expect((await store.releases('shop', undefined, 10)).map((release) => release.release)).toEqual([1]);
    await write(store, (tx) => tx.deleteApp('shop'));
    expect(await store.release('shop', 1)).toBeNull();
  });

  on('a release keeps who signed it, and hosts say whose signatures they ask for', async (store) => {
    await addApp(store);
    expect((await store.release('shop', 1))?.signature).toBeUndefined();
    const signature = {
      open: { web: { environment: ['A'], parts: ['limits' as const] } },
      by: [{ key: 'ci', value: 'v', publicKey: 'p' }],
    };
    await write(store, (tx) => tx.setSignature('shop', 1, signature));
    expect((await store.release('shop', 1))?.signature).toEqual(signature);
    const [plain, asking] = [await addHost(store, 1), await addHost(store, 2)];
    const facts = { kernel: '6.1', releaseSigners: 'ci, old', releaseKeys: 'abc,def' };
    await store.fleet.noteConnections([
      { kind: 'online', host: plain, hello: hello(plain), at: 1 },
      { kind: 'online', host: asking, hello: hello(asking, { facts }), at: 1 },
    ]);
    expect(await store.signingHosts()).toEqual(new Map([[asking, ['abc', 'def']]]));
  });

  on('names are in byte order and pages follow each other', async (store) => {
    await addApp(store);
    await addHost(store);
    const names = ['a-b', 'a1', 'aa', 'b', 'a'];
    for (const name of names) await addTenant(store, name);
    const first = await store.tenantViews({}, { limit: 3 });
    const rest = await store.tenantViews({}, { limit: 3, after: first.at(-1)?.tenant });
    expect([...first, ...rest].map((tenant) => tenant.tenant)).toEqual([...names].sort());
    expect((await store.app('shop'))?.tenants).toBe(5);
  });

  on('a domain belongs to one tenant, and a tenant that takes others gives its own back', async (store) => {
    await addApp(store);
    await addHost(store);
    await addTenant(store, 'acme');
    await addTenant(store, 'globex');
    const claim = (tenant: string, domains: string[]) =>
      write(store, (tx) => tx.claimDomains(tenant, domains));
    expect(await claim('globex', ['new.example.com', 'acme.example.com'])).toBe('acme.example.com');
    expect(await claim('acme', ['other.example.com'])).toBeNull();
    expect(await claim('globex', ['acme.example.com'])).toBeNull();
  });

  on('variables of all scopes reach their tenant and no other', async (store) => {
    const set = (scope: 'app' | 'pool' | 'tenant', owner: string, name: string, value: string | null) =>
      write(store, (tx) => tx.setVariable(scope, owner, name, value, 1));
    expect(await set('app', 'shop', 'A', '1')).toBe(true);
    expect(await set('pool', 'default', 'B', '2')).toBe(true);
    expect(await set('tenant', 'acme', 'C', '3')).toBe(true);
    expect(await set('tenant', 'globex', 'C', '4')).toBe(true);
    expect(await set('tenant', 'acme', 'C', '3')).toBe(false);
    expect(await set('tenant', 'acme', 'D', null)).toBe(false);
    expect(await store.variables({ app: 'shop', pool: 'default', tenant: 'acme' })).toEqual([
      { scope: 'app', name: 'A', value: '1' },
      { scope: 'pool', name: 'B', value: '2' },
      { scope: 'tenant', name: 'C', value: '3' },
    ]);
    expect(await set('tenant', 'acme', 'C', null)).toBe(true);
    expect(await store.variables({ app: 'x', pool: 'x', tenant: 'acme' })).toEqual([]);
  });

  on('a host shows the sums over its tenants, and pools are kept apart', async (store) => {
    await addApp(store);
    await addHost(store, 1);
    await addHost(store, 2, 'big');
    await addTenant(store, 'acme');
    await addTenant(store, 'globex');
    expect(await store.host(hostId(1))).toMatchObject({
      tenants: 2,
      reservedMemory: 512 * MIB,
      reservedCpus: 1,
      largestSurge: 256 * MIB,
      scheduling: 'open',
      connection: 'never-seen',
    });
    expect(await store.host(hostId(2))).toMatchObject({ tenants: 0, reservedMemory: 0, largestSurge: 0 });
    const locked = await write(store, async (tx) => [
      await tx.lockHosts({ pool: 'big' }),
      await tx.lockHosts({ host: hostId(1) }),
      await tx.lockHosts({ pool: 'none' }),
    ]);
    expect(locked.map((hosts) => hosts.map((host) => host.host))).toEqual([[hostId(2)], [hostId(1)], []]);
    await write(store, (tx) => tx.setScheduling(hostId(2), 'cordoned'));
    expect(await store.host(hostId(2))).toMatchObject({ scheduling: 'cordoned' });
    expect(await store.hostByKey('key-2')).toMatchObject({ host: hostId(2), pool: 'big' });
    await write(store, (tx) => tx.deleteHost(hostId(2)));
    expect(await store.host(hostId(2))).toBeNull();
  });

  on('two hosts cannot have one key', async (store) => {
    await addHost(store, 1);
    const twin = { host: hostId(2), name: 'twin', publicKey: 'key-1', pool: 'default', createdAt: 1 };
    await expect(write(store, (tx) => tx.insertHost(twin))).rejects.toThrow();
  });

  on('a tenant is shown with its host and the last word of its agent', async (store) => {
    await addApp(store);
    const host = await addHost(store);
    await addTenant(store, 'acme');
    await store.fleet.noteConnections([{ kind: 'online', host, hello: hello(host), at: 50 }]);
    await store.fleet.ingest([
      { host, at: 60, tenants: [report('acme')], events: [], report: null, traffic: [] },
    ]);
    expect(await store.tenantView('acme')).toMatchObject({
      hostName: 'host-1',
      connection: 'online',
      ingress: { address: '127.0.0.1', port: 8080 },
      reported: { generation: 1, live: 1, phase: 'settled', problem: null, at: 1000 },
    });
    expect(await store.tenantReport('acme')).toEqual(report('acme'));
    expect(await store.tenantCounts()).toEqual({
      total: 1,
      settled: 1,
      moving: 0,
      failed: 0,
      blocked: 0,
      paused: 0,
    });
    await write(store, (tx) => tx.updateTenant(record('acme', { generation: 2 })));
    expect(await store.tenantCounts()).toMatchObject({ settled: 0, moving: 1 });
    expect(await store.totals()).toEqual({ apps: 1, hosts: { total: 1, online: 1 } });
    await store.resetConnections();
    expect(await store.totals()).toEqual({ apps: 1, hosts: { total: 1, online: 0 } });
  });

  on('tokens are found by hash until they are revoked', async (store) => {
    const token = {
      id: 't_1',
      name: 'ci',
      role: 'operator' as const,
      scope: { apps: ['shop'], pools: [], tenants: ['acme'] },
      createdAt: 1,
      expiresAt: 100,
      lastUsedAt: null,
    };
    await write(store, (tx) => tx.insertToken(token, 'hash'));
    expect(await store.tokenByHash('hash')).toEqual(token);
    await store.touchToken('t_1', 50);
    expect(await store.tokens()).toEqual([{ ...token, lastUsedAt: 50 }]);
    expect(await write(store, (tx) => tx.deleteToken('t_1'))).toMatchObject({ id: 't_1' });
    expect(await write(store, (tx) => tx.deleteToken('t_1'))).toBeNull();
    expect(await store.tokenByHash('hash')).toBeNull();
  });

  on('a join token knows who used it, and old ones are forgotten', async (store) => {
    await write(store, (tx) => tx.insertJoinToken('old', 'default', 1, 10));
    await write(store, (tx) => tx.insertJoinToken('new', 'default', 100_000_000, 100_000_500));
    expect(await store.joinToken('old')).toBeNull();
    expect(await store.joinToken('new')).toEqual({ pool: 'default', expiresAt: 100_000_500, usedBy: null });
    await write(store, (tx) => tx.useJoinToken('new', hostId(1)));
    expect(await store.joinToken('new')).toMatchObject({ usedBy: hostId(1) });
  });

  on('events are filtered, resumed by number, and announced after the commit', async (store) => {
    const heard: EventRecord[][] = [];
    const stop = store.onEvents((events) => heard.push([...events]));
    const event = (tenant: string) => ({
      kind: 'tenant.changed' as const,
      at: 1,
      tenant,
      app: 'shop',
      host: hostId(1),
      generation: 2,
      message: 'changed',
      details: { release: 1 },
    });
    await write(store, (tx) => tx.addEvents([event('acme'), event('globex'), event('acme')]));
    expect(heard).toEqual([await store.events({}, 0, 10)]);
    stop();
    await write(store, (tx) => tx.addEvents([event('acme')]));
    expect(heard).toHaveLength(1);
    const ids = async (filter: object, after: number | undefined, limit = 10) =>
      (await store.events(filter, after, limit)).map((each) => each.id);
    expect(await ids({}, 2)).toEqual([3, 4]);
    expect(await ids({}, undefined, 2)).toEqual([3, 4]);
    expect(await ids({ tenant: 'acme' }, 0)).toEqual([1, 3, 4]);
    expect(await ids({ tenant: 'acme', kind: 'tenant.failed' }, 0)).toEqual([]);
    expect((await store.events({}, 3, 10))[0]).toEqual({ id: 4, ...event('acme') });
  });

  on('writing can be probed', async (store) => {
    await expect(store.probe(42)).resolves.toBeUndefined();
  });
}
