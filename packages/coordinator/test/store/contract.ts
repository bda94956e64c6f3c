import { expect, test } from 'vitest';
import type { Store, StoreWrites } from '../../src/services/store.ts';
import { BY, desired, hostId, record } from '../support/samples.ts';

/** Opens a store on an empty database; the suite closes it. */
export type OpenEmpty = () => Promise<Store>;

export interface ContractContext {
  /** Runs a test on a store of its own. */
  on(name: string, work: (store: Store) => Promise<void>): void;
}

export function contractContext(open: OpenEmpty): ContractContext {
  return {
    on(name, work) {
      test(name, async () => {
        const store = await open();
        try {
          await work(store);
        } finally {
          await store.close();
        }
      });
    },
  };
}

/** Writes whatever `work` writes, with an audit record that nobody looks at. */
export async function write<T>(store: Store, work: (tx: StoreWrites) => Promise<T>, at = 1): Promise<T> {
  return await store.mutate<T>(BY, at, async (tx) => ({
    result: await work(tx),
    audit: { action: 'test', subject: 'test', before: null, after: null },
  }));
}

export async function addHost(store: Store, n = 1, pool = 'default'): Promise<string> {
  const host = hostId(n);
  await write(store, (tx) =>
    tx.insertHost({ host, name: `host-${n}`, publicKey: `key-${n}`, pool, createdAt: 1 }),
  );
  return host;
}

export async function addApp(store: Store, app = 'shop'): Promise<void> {
  await write(store, async (tx) => {
    await tx.insertApp(app, 1);
    await tx.insertRelease({
      app,
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
  });
}

/** A tenant with its desired state, as the services write it. */
export async function addTenant(store: Store, tenant: string, host = hostId(1)): Promise<number> {
  return await write(store, async (tx) => {
    const generation = await tx.firstGeneration(tenant);
    await tx.insertTenant(record(tenant, { host, generation }));
    const taken = await tx.claimDomains(tenant, [`${tenant}.example.com`]);
    expect(taken).toBeNull();
    await tx.putDesired(host, { kind: 'tenant', entry: desired(tenant, { generation }) });
    return generation;
  });
}

export async function removeTenant(
  store: Store,
  tenant: string,
  generation: number,
  host = hostId(1),
): Promise<void> {
  await write(store, async (tx) => {
    await tx.updateTenant(record(tenant, { host, generation, state: 'removing' }));
    await tx.putDesired(host, { kind: 'tombstone', entry: { tenant, generation, state: 'proposed' } });
  });
}
