import { openStore } from '@berth/coordinator/store/open';
import type { TenantRecord } from '@berth/coordinator/services/records';
import { digestOf } from '@berth/shared/domain/digest';
import { hostId } from './link-messages.ts';
import { composeOf, entriesOf, placesOf } from './rollout-entries.ts';
import { APP, WARM_APP, type FleetShape } from './rollout-messages.ts';

const by = { actor: 'bench', requestId: '' };
const TENANTS_PER_TRANSACTION = 1_000;

/**
 * Fills a new database with hosts, two apps with two releases each, and their tenants on the first one, straight through
 * the store: by the API this would take longer than all that is measured.
 */
export async function seed(path: string, shape: FleetShape, publicKeys: readonly string[]): Promise<void> {
  const store = await openStore({ kind: 'sqlite', path });
  const at = Date.now();
  const change = (work: Parameters<typeof store.mutate<null>>[2]): Promise<null> =>
    store.mutate(by, at, work);
  const audit = { action: 'bench.seed', subject: 'bench', before: null, after: null };
  await change(async (tx) => {
    for (const [index, publicKey] of publicKeys.entries())
      await tx.insertHost({
        host: hostId(index),
        name: `host-${index}`,
        publicKey,
        pool: 'default',
        createdAt: at,
      });
    for (const app of [APP, WARM_APP]) {
      await tx.insertApp(app, at);
      for (const release of [1, 2]) {
        const compose = composeOf(app, release);
        await tx.insertRelease({
          app,
          release,
          digest: digestOf({ compose, envFiles: {} }),
          services: ['web', 'worker'],
          labels: {},
          images: 'as-named',
          createdAt: at,
          createdBy: 'bench',
          compose,
          envFiles: {},
          pins: {},
          variables: {},
        });
      }
      await tx.setCurrent(app, 1);
    }
    return { result: null, audit };
  });
  const entryOf = entriesOf();
  const places = placesOf(shape);
  for (let from = 0; from < places.length; from += TENANTS_PER_TRANSACTION)
    await change(async (tx) => {
      for (const place of places.slice(from, from + TENANTS_PER_TRANSACTION)) {
        const entry = entryOf(place, 1);
        await tx.insertTenant(recordOf(place.app, place.tenant, place.host, at));
        await tx.claimDomains(place.tenant, entry.domains);
        await tx.putDesired(place.host, { kind: 'tenant', entry });
      }
      return { result: null, audit };
    });
  await store.close();
}

function recordOf(app: string, tenant: string, host: string, at: number): TenantRecord {
  return {
    tenant,
    app,
    release: 1,
    generation: 1,
    state: 'running',
    host,
    pool: 'default',
    domains: [`${tenant}.example.com`],
    routes: [{ subdomain: '', path: '/' }],
    reservedMemory: 2 * 16 * 1024 ** 2,
    reservedCpus: 0.02,
    surgeMemory: 2 * 16 * 1024 ** 2,
    tags: [],
    pinned: null,
    window: null,
    tenancy: 'shared',
    egress: null,
    createdAt: at,
    updatedAt: at,
  };
}
