import fc from 'fast-check';
import { expect } from 'vitest';
import { Trust } from '@berth/shared/api/oidc';
import { covers, EVERYTHING, type AccessScope } from '@berth/shared/domain/access';
import type { NewEvent } from '../../src/services/records.ts';
import type { Store } from '../../src/services/store.ts';
import { BY, hostId, record } from '../support/samples.ts';
import { addApp, addHost, contractContext, write, type OpenEmpty } from './contract.ts';

const APPS = ['blog', 'mail', 'shop'];
const POOLS = ['eu-1', 'us-1'];
const some = (names: readonly string[]) => fc.subarray([...names]);

/** Six tenants: each app in each pool. */
const TENANTS = APPS.flatMap((app) => POOLS.map((pool) => ({ app, pool, tenant: `${app}-${pool}` })));

async function world(store: Store): Promise<void> {
  for (const [n, pool] of POOLS.entries()) await addHost(store, n + 1, pool);
  for (const app of APPS) await addApp(store, app);
  for (const { app, pool, tenant } of TENANTS)
    await write(store, async (tx) => {
      const host = hostId(POOLS.indexOf(pool) + 1);
      await tx.insertTenant(record(tenant, { app, pool, host }));
      await tx.addEvents([event({ app, tenant, host })]);
    });
  await write(store, (tx) => tx.addEvents([event({}), event({ host: hostId(2) }), event({ app: 'shop' })]));
}

const event = (given: Partial<Pick<NewEvent, 'app' | 'tenant' | 'host'>>): NewEvent => ({
  kind: 'tenant.changed',
  at: 1,
  tenant: null,
  app: null,
  host: null,
  generation: null,
  message: 'changed',
  details: {},
  ...given,
});

/** Tokens with their scopes, trust in identity providers, and lists that hold only what is in scope. */
export function accessContract(open: OpenEmpty): void {
  const { on } = contractContext(open);

  on('lists, counts and events hold exactly what a scope covers, whatever it names', async (store) => {
    await world(store);
    const events = await store.events({}, 0, 100);
    const poolOf = (host: string | null): string | null =>
      host === null ? null : (POOLS[host === hostId(1) ? 0 : 1] ?? null);
    await fc.assert(
      fc.asyncProperty(
        some(APPS),
        some(POOLS),
        some(TENANTS.map((each) => each.tenant)),
        async (apps, pools, tenants) => {
          const scope: AccessScope = { apps, pools, tenants };
          const nothing = { app: null, pool: null, tenant: null };
          const page = { limit: 100, scope };
          const visible = TENANTS.filter((each) => covers(scope, each)).map((each) => each.tenant);
          expect((await store.tenantViews({ scope }, page)).map((each) => each.tenant)).toEqual(
            visible.sort(),
          );
          expect((await store.tenantCounts(scope)).total).toBe(visible.length);
          const ownApps = APPS.filter((app) => covers(scope, { ...nothing, app }));
          expect((await store.apps(page)).map((each) => each.app)).toEqual(ownApps);
          const ownPools = POOLS.filter((pool) => covers(scope, { ...nothing, pool }));
          expect((await store.pools(page)).map((each) => each.pool)).toEqual(ownPools);
          expect((await store.hosts(page)).map((each) => each.pool)).toEqual(ownPools);
          expect(await store.totals(scope)).toMatchObject({
            apps: ownApps.length,
            hosts: { total: ownPools.length },
          });
          const heard = events.filter(({ app, tenant, host }) =>
            covers(scope, { app, tenant, pool: poolOf(host) }),
          );
          expect((await store.events({ scope }, 0, 100)).map((each) => each.id)).toEqual(
            heard.map((each) => each.id),
          );
        },
      ),
      { numRuns: 60 },
    );
  });

  on('pages of a scope follow each other without those of others between', async (store) => {
    await world(store);
    const scope = { ...EVERYTHING, pools: ['us-1'] };
    const first = await store.tenantViews({ scope }, { limit: 2 });
    const rest = await store.tenantViews({ scope }, { limit: 2, after: first.at(-1)?.tenant });
    expect([...first, ...rest].map((each) => each.tenant)).toEqual(['blog-us-1', 'mail-us-1', 'shop-us-1']);
    expect((await store.events({ scope }, 0, 2)).map((each) => each.tenant)).toEqual([
      'blog-us-1',
      'mail-us-1',
    ]);
  });

  on('a rule of trust comes back as it was given, until it is removed', async (store) => {
    const rule = Trust.parse({
      id: 'o_1',
      createdAt: 5,
      createdBy: 'token:t_1 first admin',
      audience: 'https://berth.example.com',
      repository: 'example/shop',
      ref: 'refs/heads/main',
      apps: ['shop'],
    });
    await write(store, (tx) => tx.insertTrust(rule));
    expect(await store.trusts()).toEqual([rule]);
    await write(store, (tx) => tx.deleteTrust('o_1'));
    expect(await store.trusts()).toEqual([]);
  });

  on(
    'an identity token is used once, also by two at the same moment, and forgotten when it has run out',
    async (store) => {
      const use = (hash: string, expiresAt: number, at: number) =>
        store.mutate(BY, at, async (tx) => ({
          result: await tx.useIdentity(hash, expiresAt, at),
          audit: { action: 'test', subject: 'test', before: null, after: null },
        }));
      const outcomes = await Promise.all(Array.from({ length: 8 }, () => use('a', 100, 1)));
      expect(outcomes.filter((each) => each === 'fresh')).toHaveLength(1);
      expect(await use('b', 100, 50)).toBe('fresh');
      expect(await use('a', 100, 100)).toBe('used');
      expect(await use('a', 300, 200)).toBe('fresh');
    },
  );

  on('tokens that a CI was given are forgotten a day after they ran out, and no others', async (store) => {
    const token = (id: string, expiresAt: number | null) => ({
      id,
      name: id,
      role: 'deployer' as const,
      scope: { ...EVERYTHING, apps: ['shop'] },
      createdAt: 1,
      expiresAt,
      lastUsedAt: null,
    });
    const day = 86_400_000;
    for (const [id, expiresAt] of [
      ['ci_old', 10],
      ['ci_new', 2 * day],
      ['t_old', 10],
      ['t_ever', null],
    ] as const)
      await write(store, (tx) => tx.insertToken(token(id, expiresAt), id));
    await write(store, (tx) => tx.useIdentity('x', 3 * day, day + 20));
    expect((await store.tokens()).map((each) => each.id).sort()).toEqual(['ci_new', 't_ever', 't_old']);
  });
}
