import { expect } from 'vitest';
import { noTraffic, type Traffic, type TrafficSample } from '@berth/shared/domain/traffic';
import type { Store } from '../../src/services/store.ts';
import { hello, hostId, record, report } from '../support/samples.ts';
import {
  addApp,
  addHost,
  addTenant,
  contractContext,
  removeTenant,
  write,
  type OpenEmpty,
} from './contract.ts';

function traffic(requests: number, errors = 0): Traffic {
  return { requests, errors, latency: noTraffic().latency.with(3, requests) };
}

function sample(tenant: string, given: Partial<TrafficSample> = {}): TrafficSample {
  return { tenant, generation: 1, slot: 600_000, run: 1, traffic: traffic(10), ...given };
}

const tell = (store: Store, host: string, ...samples: TrafficSample[]): Promise<void> =>
  store.fleet.ingest([{ host, at: 1, tenants: [], events: [], report: null, traffic: samples }]);

/** What rollouts know of tenants: their facts, their requests, their generations. */
export function rolloutFactsContract(open: OpenEmpty): void {
  const { on } = contractContext(open);

  on('the facts of tenants are those of their records, their hosts and their last reports', async (store) => {
    await addApp(store);
    const host = await addHost(store, 1);
    await addHost(store, 2);
    await addTenant(store, 'acme', host);
    await addTenant(store, 'globex', hostId(2));
    await store.fleet.noteConnections([{ kind: 'online', host, hello: hello(host), at: 5 }]);
    await write(store, (tx) =>
      tx.setRolloutSettings('acme', {
        tags: ['canary', 'tier=free'],
        pinned: 'audit',
        window: '22:00-04:00',
      }),
    );
    const failure = {
      code: 'health_failed' as const,
      message: 'It is not healthy.',
      step: 'probe',
      service: 'web',
      logTail: ['x'],
      at: 3,
    };
    await store.fleet.ingest([
      {
        host,
        at: 6,
        tenants: [report('acme', { generation: 2, live: 1, phase: 'failed', problem: failure })],
        events: [],
        report: null,
        traffic: [],
      },
    ]);
    const acme = {
      tenant: 'acme',
      app: 'shop',
      release: 1,
      generation: 1,
      state: 'running',
      host,
      hostName: 'host-1',
      connection: 'online',
      tags: ['canary', 'tier=free'],
      pinned: 'audit',
      window: '22:00-04:00',
      reported: {
        generation: 2,
        live: 1,
        phase: 'failed',
        problem: { code: 'health_failed', message: 'It is not healthy.' },
      },
    };
    const globex = {
      ...acme,
      tenant: 'globex',
      host: hostId(2),
      hostName: 'host-2',
      connection: 'offline',
      tags: [],
      pinned: null,
      window: null,
      reported: null,
    };
    expect(await store.tenantFacts(['globex', 'nobody', 'acme', 'acme', "' or true --"])).toEqual([
      acme,
      globex,
    ]);
    expect(await store.tenantFacts([])).toEqual([]);
    expect(await store.tenantFactsOfApp('shop')).toEqual([acme, globex]);
    expect(await store.tenantFactsOfApp('blog')).toEqual([]);
    const settings = { tags: ['canary', 'tier=free'], pinned: 'audit', window: '22:00-04:00' };
    expect(await store.tenant('acme')).toMatchObject(settings);
    expect(await store.tenantView('acme')).toMatchObject(settings);
    // An update of the whole record keeps what it was read with.
    await write(store, async (tx) => {
      const held = await tx.lockTenant('acme');
      if (held !== null) await tx.updateTenant({ ...held, generation: 2 });
    });
    expect(await store.tenant('acme')).toMatchObject({ ...settings, generation: 2 });
  });

  on('a tenant keeps the tags that it was made with', async (store) => {
    await addApp(store);
    await addHost(store);
    await write(store, (tx) => tx.insertTenant(record('acme', { tags: ['tier=free'] })));
    expect((await store.tenantFacts(['acme']))[0]).toMatchObject({ tags: ['tier=free'], pinned: null });
  });

  on('a sample replaces the one with its key, and telling it again changes nothing', async (store) => {
    await addApp(store);
    const host = await addHost(store);
    await addTenant(store, 'acme');
    await tell(store, host, sample('acme'), sample('acme', { traffic: traffic(25, 2) }));
    await tell(store, host, sample('acme', { traffic: traffic(25, 2) }));
    // An older one that comes late.
    await tell(store, host, sample('acme'));
    const row = { tenant: 'acme', generation: 1, slot: 600_000, traffic: traffic(25, 2) };
    expect(await store.traffic(['acme'], 0)).toEqual([row]);
    await tell(store, host, sample('acme', { traffic: traffic(40, 2) }));
    expect(await store.traffic(['acme'], 0)).toEqual([{ ...row, traffic: traffic(40, 2) }]);
    await tell(store, host, sample('acme', { traffic: { ...traffic(40, 2), lost: 7 } }));
    expect(await store.traffic(['acme'], 0)).toEqual([{ ...row, traffic: { ...traffic(40, 2), lost: 7 } }]);
  });

  on('samples of several runs are added up, generations and slots kept apart', async (store) => {
    await addApp(store);
    const host = await addHost(store);
    for (const name of ['acme', 'globex', 'initech']) await addTenant(store, name);
    await tell(
      store,
      host,
      sample('acme', { run: 1_763_632_228_000 }),
      sample('acme', { run: 1_763_632_229_000, traffic: traffic(1, 1) }),
      sample('acme', { generation: 2 }),
      sample('acme', { slot: 0 }),
      sample('globex'),
      sample('initech'),
    );
    expect(await store.traffic(['globex', 'acme', 'nobody'], 600_000)).toEqual([
      { tenant: 'acme', generation: 1, slot: 600_000, traffic: traffic(11, 1) },
      { tenant: 'acme', generation: 2, slot: 600_000, traffic: traffic(10) },
      { tenant: 'globex', generation: 1, slot: 600_000, traffic: traffic(10) },
    ]);
    expect(await store.traffic(['acme'], 0)).toHaveLength(3);
    expect(await store.traffic([], 0)).toEqual([]);
    await write(store, (tx) => tx.pruneTraffic(600_000));
    expect(await store.traffic(['acme'], 0)).toHaveLength(2);
  });

  on(
    'only the host that has a tenant speaks of its requests, and none are left when it is gone',
    async (store) => {
      await addApp(store);
      const host = await addHost(store, 1);
      const other = await addHost(store, 2);
      const generation = await addTenant(store, 'acme', host);
      const spoken = { at: 1, tenants: [], events: [], report: null };
      await store.fleet.ingest([
        { ...spoken, host: other, traffic: [sample('acme', { traffic: traffic(99) }), sample('nobody')] },
        { ...spoken, host, traffic: [sample('acme')] },
      ]);
      expect(await store.traffic(['acme', 'nobody'], 0)).toMatchObject([{ traffic: traffic(10) }]);
      await removeTenant(store, 'acme', generation);
      await store.fleet.finishRemoval(host, 'acme', generation, 9);
      await addTenant(store, 'acme', host);
      expect(await store.traffic(['acme'], 0)).toEqual([]);
    },
  );

  on('ingest takes thousands of samples at once', async (store) => {
    await addApp(store);
    const host = await addHost(store);
    const names = Array.from({ length: 5 }, (_, n) => `t-${n}`);
    for (const name of names) await addTenant(store, name);
    const samples = names.flatMap((name) =>
      Array.from({ length: 501 }, (_, n) => sample(name, { slot: n * 600_000 })),
    );
    await tell(store, host, ...samples);
    expect(await store.traffic(names, 0)).toHaveLength(samples.length);
  });

  on(
    'a generation is never given out twice, also after a tenant went back to an earlier one',
    async (store) => {
      await addApp(store);
      const host = await addHost(store);
      expect(await store.lastGeneration('acme')).toBe(0);
      await addTenant(store, 'acme');
      const put = (generation: number) =>
        write(store, (tx) => tx.updateTenant(record('acme', { generation })));
      await put(2);
      await put(1);
      expect(await store.lastGeneration('acme')).toBe(2);
      await removeTenant(store, 'acme', 1);
      await store.fleet.finishRemoval(host, 'acme', 1, 9);
      expect(await store.lastGeneration('acme')).toBe(2);
      expect(await addTenant(store, 'acme')).toBe(3);
    },
  );

  on('the newest report wins, also when its generation is an earlier one', async (store) => {
    await addApp(store);
    const host = await addHost(store);
    await addTenant(store, 'acme');
    const say = (at: number, generation: number) =>
      store.fleet.ingest([
        { host, at, tenants: [report('acme', { at, generation })], events: [], report: null, traffic: [] },
      ]);
    await say(10, 2);
    await say(11, 1);
    expect((await store.tenantView('acme'))?.reported).toMatchObject({ generation: 1, at: 11 });
    await say(9, 3);
    expect((await store.tenantView('acme'))?.reported).toMatchObject({ generation: 1, at: 11 });
  });

  on(
    'a host is ahead when it speaks of a generation that was never given, not of one gone back from',
    async (store) => {
      await addApp(store);
      const host = await addHost(store);
      for (const name of ['acme', 'globex']) {
        await addTenant(store, name);
        await write(store, (tx) => tx.updateTenant(record(name, { generation: 2 })));
        await write(store, (tx) => tx.updateTenant(record(name, { generation: 1 })));
      }
      await store.fleet.ingest([
        {
          host,
          at: 5,
          tenants: [report('acme', { generation: 2 }), report('globex', { generation: 3 })],
          events: [],
          report: null,
          traffic: [],
        },
      ]);
      expect(await store.tenantsAhead()).toEqual(['globex']);
      expect(await store.lastGeneration('acme')).toBe(2);
      expect(await store.lastGeneration('globex')).toBe(3);
    },
  );
}
