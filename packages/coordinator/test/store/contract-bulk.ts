import { expect } from 'vitest';
import { RolloutPolicy } from '@berth/shared/domain/rollout';
import { DesiredTenant, stateDigest, type Tombstone } from '@berth/shared/domain/desired';
import type { RolloutTenant } from '../../src/rollout/types.ts';
import type { Store } from '../../src/services/store.ts';
import { desired, hostId, report } from '../support/samples.ts';
import { addApp, addHost, addTenant, contractContext, write, type OpenEmpty } from './contract.ts';

const NAMES = ['a', 'b', 'c'];

async function fleet(store: Store): Promise<number> {
  await addApp(store);
  await addHost(store, 1);
  await addHost(store, 2);
  for (const [index, name] of NAMES.entries()) await addTenant(store, name, hostId(1 + (index % 2)));
  return await write(store, (tx) =>
    tx.insertRollout(
      {
        app: 'shop',
        to: 2,
        policy: RolloutPolicy.parse({ waves: [{ target: { kind: 'share', percent: 100 } }] }),
        state: { kind: 'running' },
        wave: 0,
        waves: [{ kind: 'pending' }],
        forgiven: 0,
        reversal: 'free',
        startedBy: 'ann',
        createdAt: 1,
        updatedAt: 1,
        endedAt: null,
        acts: [],
        afterEvent: 0,
      },
      NAMES.map((name, position) => member(name, position)),
    ),
  );
}

function member(tenant: string, position: number, given: Partial<RolloutTenant> = {}): RolloutTenant {
  return {
    tenant,
    wave: 0,
    position,
    fromRelease: 1,
    fromGeneration: 1,
    progress: { kind: 'pending' },
    before: null,
    ...given,
  };
}

/** What is done to many tenants in one statement each. */
export function bulkContract(open: OpenEmpty): void {
  const { on } = contractContext(open);

  on(
    'many tenants move at once: record, numbers given out, desired state, one revision a host',
    async (store) => {
      const rollout = await fleet(store);
      const first = (await store.fleet.desiredAll(hostId(1))).revision;
      await write(store, async (tx) => {
        const records = await tx.tenantsNamed([...NAMES, 'nobody', 'a']);
        expect(records.map((each) => each.tenant)).toEqual(NAMES);
        await tx.keepDesired(rollout, ['a', 'b']);
        const moved = records.map((each) => ({
          ...each,
          release: 2,
          generation: each.generation + 4,
          routes: [{ subdomain: 'api', path: '/v2' }],
          reservedCpus: 0.25,
          updatedAt: 77,
        }));
        await tx.moveTenants(moved);
        await tx.putDesiredOf(
          moved.map(({ tenant, host, release, generation }) => ({
            host,
            entry: desired(tenant, { release, generation }),
          })),
        );
      });
      expect(await store.tenant('c')).toMatchObject({
        release: 2,
        generation: 5,
        routes: [{ subdomain: 'api', path: '/v2' }],
        reservedCpus: 0.25,
        updatedAt: 77,
        domains: ['c.example.com'],
      });
      for (const host of [hostId(1), hostId(2)]) {
        const { digest, entries } = await store.fleet.desiredAll(host);
        const parsed = entries.map(({ json }) => DesiredTenant.parse(JSON.parse(json)));
        const tenants = Object.fromEntries(parsed.map((each) => [each.tenant, each]));
        const tombstones: Record<string, Tombstone> = {};
        expect(digest).toBe(stateDigest({ tenants, tombstones }));
        expect(parsed.map((each) => each.generation)).toEqual(parsed.map(() => 5));
      }
      expect((await store.fleet.desiredAll(hostId(1))).revision).toBe(first + 1);
      const changed = await store.fleet.desiredSince([{ host: hostId(1), revision: first }]);
      expect(
        changed
          .get(hostId(1))
          ?.entries.map((each) => each.tenant)
          .sort(),
      ).toEqual(['a', 'c']);

      const before = await store.desiredBeforeOf(rollout, NAMES);
      expect([...before.keys()].sort()).toEqual(['a', 'b']);
      expect(before.get('a')).toEqual(desired('a'));
      expect(await store.desiredBefore(rollout, 'c')).toBeNull();
    },
  );

  on(
    'a generation that an agent spoke of, or that was gone back from, counts as given out',
    async (store) => {
      await fleet(store);
      await store.fleet.ingest([
        {
          host: hostId(2),
          at: 5,
          tenants: [report('b', { generation: 9 })],
          events: [],
          traffic: [],
          report: null,
        },
      ]);
      await write(store, async (tx) => {
        const [record] = await tx.tenantsNamed(['a']);
        if (record === undefined) throw new Error('a is gone');
        await tx.moveTenants([{ ...record, generation: 3 }]);
        await tx.moveTenants([record]);
      });
      expect(await store.lastGenerations([...NAMES, 'nobody'])).toEqual(
        new Map([
          ['a', 3],
          ['b', 9],
          ['c', 1],
        ]),
      );
    },
  );

  on('variables are those of the tenants asked for, and of nobody else', async (store) => {
    await fleet(store);
    await write(store, async (tx) => {
      await tx.setVariable('tenant', 'a', 'Y', '2', 1);
      await tx.setVariable('tenant', 'a', 'X', '1', 1);
      await tx.setVariable('tenant', 'b', 'X', '3', 1);
      await tx.setVariable('app', 'a', 'Z', '4', 1);
    });
    expect(await store.variablesOfTenants(['a', 'c'])).toEqual(
      new Map([
        [
          'a',
          [
            { name: 'X', value: '1' },
            { name: 'Y', value: '2' },
          ],
        ],
      ]),
    );
  });

  on('histories begin and end in batches; what has no entry ends nothing', async (store) => {
    await fleet(store);
    const entry = { at: 5, by: 'ann', release: 2, rollout: null, ms: null, message: 'moves' } as const;
    await write(store, async (tx) => {
      await tx.putHistories([
        { tenant: 'a', entry: { ...entry, what: 'moved', generation: 2 } },
        { tenant: 'b', entry: { ...entry, what: 'moved', generation: 2 } },
      ]);
      await tx.endHistories([
        { tenant: 'a', generation: 2, ms: 12.4, failed: null },
        { tenant: 'b', generation: 2, ms: null, failed: 'It broke.' },
        { tenant: 'c', generation: 2, ms: 1, failed: null },
      ]);
    });
    expect(await store.tenantHistory('a', 5)).toMatchObject([{ what: 'moved', ms: 12, message: 'moves' }]);
    expect(await store.tenantHistory('b', 5)).toMatchObject([
      { what: 'failed', ms: null, message: 'It broke.' },
    ]);
    expect(await store.tenantHistory('c', 5)).toEqual([]);
  });

  on('a rollout’s tenants are replaced as a whole, and counted by wave', async (store) => {
    const rollout = await fleet(store);
    await write(store, (tx) =>
      tx.replaceRolloutTenants(rollout, [
        member('b', 0, { progress: { kind: 'moved', generation: 2, at: 3 } }),
        member('c', 1, { wave: 1 }),
        member('y', 3, {
          wave: 1,
          progress: { kind: 'returned', generation: 1, at: 4, why: 'slow', cause: 'failure' },
        }),
        member('z', 2, { wave: 1, progress: { kind: 'skipped', reason: 'offline' } }),
      ]),
    );
    expect((await store.rolloutTenants(rollout)).map((each) => each.tenant)).toEqual(['b', 'c', 'z', 'y']);
    const counts = (await store.progressCounts([rollout, 99])).get(rollout);
    expect(counts?.get(0)).toMatchObject({ moved: 1, pending: 0, failures: 0 });
    expect(counts?.get(1)).toMatchObject({ pending: 1, skipped: 1, returned: 1, failures: 1 });
    expect(await store.progressCounts([])).toEqual(new Map());
  });
}
