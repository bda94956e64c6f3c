import fc from 'fast-check';
import { expect } from 'vitest';
import {
  EMPTY_DIGEST,
  stateDigest,
  type DesiredState,
  type DesiredTenant,
  type Tombstone,
} from '@berth/shared/domain/desired';
import type { Store } from '../../src/services/store.ts';
import { agentEvent, desired, hello, hostId, hostReport, report } from '../support/samples.ts';
import {
  addApp,
  addHost,
  addTenant,
  contractContext,
  removeTenant,
  write,
  type OpenEmpty,
} from './contract.ts';

const NAMES = ['a', 'b', 'c'];
type Op = { tenant: string; kind: 'tenant' | 'tombstone' | 'forgotten'; generation: number };
const ops = fc.array(
  fc.record({
    tenant: fc.constantFrom(...NAMES),
    kind: fc.constantFrom('tenant' as const, 'tombstone' as const, 'forgotten' as const),
    generation: fc.integer({ min: 1, max: 9 }),
  }),
  { maxLength: 12 },
);

/** What the fleet service asks of its store. */
export function fleetContract(open: OpenEmpty): void {
  const { on } = contractContext(open);

  on('the host digest is always the digest of its entries, and each write is one revision', async (store) => {
    let n = 0;
    await fc.assert(
      fc.asyncProperty(ops, async (given) => {
        const host = await addHost(store, (n += 1));
        const model: Pick<DesiredState, 'tenants' | 'tombstones'> = { tenants: {}, tombstones: {} };
        for (const op of given) await apply(store, host, op, model);
        const snapshot = await store.fleet.desiredAll(host);
        expect(snapshot.revision).toBe(given.length);
        expect(snapshot.digest).toBe(stateDigest(model));
        const kept = snapshot.entries.filter((entry) => entry.kind !== 'forgotten');
        expect(kept.map((entry) => entry.tenant).sort()).toEqual(
          [...Object.keys(model.tenants), ...Object.keys(model.tombstones)].sort(),
        );
      }),
      { numRuns: 15 },
    );
  });

  on(
    'desiredSince tells each host what changed after its cursor and leaves out who has it all',
    async (store) => {
      for (const n of [1, 2, 3]) await addHost(store, n);
      const put = (n: number, tenant: string, generation = 1) =>
        write(store, (tx) =>
          tx.putDesired(hostId(n), { kind: 'tenant', entry: desired(tenant, { generation }) }),
        );
      await put(1, 'a');
      await put(1, 'b');
      await put(2, 'c');
      await put(1, 'a', 2);
      const since = await store.fleet.desiredSince([
        { host: hostId(1), revision: 1 },
        { host: hostId(2), revision: 1 },
        { host: hostId(3), revision: 0 },
      ]);
      expect([...since.keys()]).toEqual([hostId(1)]);
      const one = since.get(hostId(1));
      expect(one?.revision).toBe(3);
      expect(one?.entries.map((entry) => entry.tenant).sort()).toEqual(['a', 'b']);
      const entry = one?.entries.find((each) => each.tenant === 'a');
      expect(JSON.parse(entry?.json ?? '')).toEqual(desired('a', { generation: 2 }));
      expect(await store.fleet.desiredSince([])).toEqual(new Map());
    },
  );

  on('desiredSince takes thousands of cursors', async (store) => {
    await addHost(store, 7);
    await write(store, (tx) => tx.putDesired(hostId(7), { kind: 'tenant', entry: desired('a') }));
    const cursors = Array.from({ length: 2500 }, (_, n) => ({ host: hostId(n), revision: 0 }));
    expect([...(await store.fleet.desiredSince(cursors)).keys()]).toEqual([hostId(7)]);
  });

  on('a hello finds its host, and nothing else does', async (store) => {
    const host = await addHost(store);
    const other = await addHost(store, 2);
    const found = await store.fleet.hostsForHello([hostId(9), other, host, "h_' or true --", other]);
    expect([...found.keys()].sort()).toEqual([host, other].sort());
    expect(found.get(host)).toEqual({
      host,
      name: 'host-1',
      publicKey: 'key-1',
      revision: 0,
      digest: EMPTY_DIGEST,
      pool: 'default',
      signers: null,
    });
    expect(await store.fleet.hostsForHello([hostId(9)])).toEqual(new Map());
    expect(await store.fleet.hostsForHello([])).toEqual(new Map());
    expect(await store.fleet.enrolledHosts()).toBe(2);
    expect(await store.fleet.desiredAll(hostId(9))).toEqual({
      revision: 0,
      digest: EMPTY_DIGEST,
      entries: [],
    });
  });

  on('what a host said last is what is kept of its connection', async (store) => {
    const host = await addHost(store);
    await store.fleet.noteConnections([
      { kind: 'online', host, hello: hello(host), at: 10 },
      { kind: 'superseded', host, at: 11 },
      { kind: 'online', host, hello: hello(host, { agentVersion: '0.2.0', revision: 3 }), at: 12 },
      { kind: 'online', host: hostId(9), hello: hello(hostId(9)), at: 12 },
    ]);
    expect(await store.host(host)).toMatchObject({
      connection: 'online',
      lastSeenAt: 12,
      agentVersion: '0.2.0',
      ackedRevision: 3,
      ackedEpoch: 1,
      cpus: 4,
      facts: { kernel: '6.1' },
      ingress: { address: '127.0.0.1', port: 8080 },
    });
    await store.fleet.noteConnections([{ kind: 'offline', host, at: 20 }]);
    expect(await store.host(host)).toMatchObject({ connection: 'offline', lastSeenAt: 20 });
    await store.fleet.noteConnections([{ kind: 'ahead', host, at: 21, epoch: 4, revision: 9 }]);
    expect(await store.host(host)).toMatchObject({ connection: 'offline', lastSeenAt: 20 });
    const kinds = (await store.events({ host }, 0, 10)).map((event) => event.kind);
    expect(kinds).toEqual(['host.online', 'host.superseded', 'host.online', 'host.offline', 'host.ahead']);
    expect(await store.lastEvent()).toBe(5);
    expect((await store.events({ kind: 'host.ahead' }, 0, 1))[0]).toMatchObject({
      host,
      details: { epoch: 4, revision: 9 },
    });
  });

  on('acknowledgements only go forward, and what is forgotten goes when it was heard', async (store) => {
    const host = await addHost(store);
    await write(store, (tx) => tx.putDesired(host, { kind: 'tenant', entry: desired('a') }));
    await write(store, (tx) => tx.putDesired(host, { kind: 'forgotten', tenant: 'a' }));
    expect(await store.lag()).toEqual({ hosts: 1, revisions: 2 });
    await store.fleet.recordAcks([
      { host, epoch: 1, revision: 1, at: 5 },
      { host: hostId(9), epoch: 1, revision: 1, at: 5 },
    ]);
    expect((await store.fleet.desiredAll(host)).entries).toMatchObject([{ kind: 'forgotten', tenant: 'a' }]);
    await store.fleet.recordAcks([
      { host, epoch: 1, revision: 2, at: 6 },
      { host, epoch: 1, revision: 1, at: 7 },
    ]);
    expect(await store.host(host)).toMatchObject({ ackedRevision: 2, ackedEpoch: 1 });
    expect((await store.fleet.desiredAll(host)).entries).toEqual([]);
    expect(await store.lag()).toEqual({ hosts: 0, revisions: 0 });
  });

  on('ingest keeps the newest report of each tenant on its own host', async (store) => {
    await addApp(store);
    const host = await addHost(store, 1);
    const other = await addHost(store, 2);
    await addTenant(store, 'acme', host);
    await store.fleet.ingest([
      {
        host,
        at: 10,
        tenants: [
          report('acme', { at: 5, phase: 'moving' }),
          report('acme', { at: 7, phase: 'settled' }),
          report('acme', { at: 6, phase: 'blocked' }),
          report('nobody'),
        ],
        events: [],
        report: hostReport,
        traffic: [],
      },
      {
        host: other,
        at: 11,
        tenants: [report('acme', { at: 99, phase: 'failed' })],
        events: [],
        report: null,
        traffic: [],
      },
    ]);
    expect(await store.tenantReport('acme')).toMatchObject({ at: 7, phase: 'settled' });
    await store.fleet.ingest([
      {
        host,
        at: 12,
        tenants: [report('acme', { at: 6, phase: 'failed' })],
        events: [],
        report: null,
        traffic: [],
      },
    ]);
    expect(await store.tenantReport('acme')).toMatchObject({ at: 7, phase: 'settled' });
    expect(await store.host(host)).toMatchObject({ report: hostReport, lastSeenAt: 10 });
    expect(await store.tenantReport('nobody')).toBeNull();
  });

  on('when a host was last heard of is known to five seconds', async (store) => {
    const host = await addHost(store, 1);
    const heard = async (at: number, told: typeof hostReport | null = null) => {
      await store.fleet.ingest([{ host, at, tenants: [], events: [], report: told, traffic: [] }]);
      return (await store.host(host))?.lastSeenAt;
    };
    expect(await heard(10_000)).toBe(10_000);
    expect(await heard(14_999)).toBe(10_000);
    expect(await heard(15_000)).toBe(15_000);
    expect(await heard(15_001, hostReport)).toBe(15_001);
  });

  on('ingest takes hundreds of tenants at once', async (store) => {
    await addApp(store);
    const host = await addHost(store);
    const names = Array.from({ length: 301 }, (_, n) => `t-${n}`);
    for (const name of names) await addTenant(store, name);
    await store.fleet.ingest([
      { host, at: 1, tenants: names.map((name) => report(name)), events: [], report: null, traffic: [] },
    ]);
    expect(await store.tenantCounts()).toMatchObject({ total: 301, settled: 301 });
  });

  on('events that an agent numbers are kept once, from each of its starts', async (store) => {
    const host = await addHost(store, 1);
    const other = await addHost(store, 2);
    const tell = (from: string, start: string, ...numbers: number[]) =>
      store.fleet.ingest([
        {
          host: from,
          at: 1,
          tenants: [],
          events: numbers.map((number) =>
            agentEvent(`${start}-${number}`, { message: `${start} ${number}` }),
          ),
          report: null,
          traffic: [],
        },
      ]);
    const [one, two] = ['0123456789abcdef', 'fedcba9876543210'];
    await tell(host, one, 1, 2);
    await tell(host, one, 1, 2, 3);
    await tell(other, one, 1);
    await tell(host, two, 1);
    await tell(host, one, 3, 4);
    const events = await store.events({}, 0, 20);
    expect(
      events.map((event) => `${event.id} ${event.host === host ? 'host' : 'other'} ${event.message}`),
    ).toEqual([
      `1 host ${one} 1`,
      `2 host ${one} 2`,
      `3 host ${one} 3`,
      `4 other ${one} 1`,
      `5 host ${two} 1`,
      `6 host ${one} 4`,
    ]);
  });

  on('an event that is told twice is kept once, and numbers have no gap', async (store) => {
    await addApp(store);
    const host = await addHost(store, 1);
    const other = await addHost(store, 2);
    await addTenant(store, 'acme', host);
    const tell = (from: string, ...ids: string[]) =>
      store.fleet.ingest([
        {
          host: from,
          at: 1,
          tenants: [],
          events: ids.map((id) =>
            from === host ? agentEvent(id, { tenant: 'acme', kind: 'tenant.live' }) : agentEvent(id),
          ),
          report: null,
          traffic: [],
        },
      ]);
    await tell(host, 'e1', 'e2', 'e1');
    await tell(host, 'e2', 'e3');
    await tell(other, 'e1');
    const events = await store.events({}, 0, 10);
    expect(events.map((event) => [event.id, event.host])).toEqual([
      [1, host],
      [2, host],
      [3, host],
      [4, other],
    ]);
    expect(events[0]).toMatchObject({ app: 'shop', tenant: 'acme', kind: 'tenant.live' });
  });

  on('a tombstone is confirmed once, and only of the generation that is to go', async (store) => {
    await addApp(store);
    const host = await addHost(store);
    const generation = await addTenant(store, 'acme');
    expect(await store.fleet.confirmTombstone(host, 'acme', generation, [], 5)).toBe('unknown');
    await removeTenant(store, 'acme', generation);
    expect(await store.fleet.confirmTombstone(host, 'acme', generation + 1, [], 5)).toBe('unknown');
    expect(await store.fleet.confirmTombstone(host, 'acme', generation, ['c1'], 5)).toBe('confirmed');
    const { revision, entries } = await store.fleet.desiredAll(host);
    expect(JSON.parse(entries[0]?.json ?? '')).toEqual({ tenant: 'acme', generation, state: 'confirmed' });
    expect(await store.fleet.confirmTombstone(host, 'acme', generation, ['c1'], 6)).toBe('confirmed');
    expect((await store.fleet.desiredAll(host)).revision).toBe(revision);
    expect((await store.audit(undefined, 1))[0]).toMatchObject({
      actor: `agent:${host}`,
      action: 'tenant.removal-confirmed',
      subject: 'acme',
      after: { containers: ['c1'] },
    });
  });

  on(
    'a finished removal frees name and domains, and the next of that name has a new generation',
    async (store) => {
      await addApp(store);
      const host = await addHost(store);
      const generation = await addTenant(store, 'acme');
      await write(store, (tx) => tx.setVariable('tenant', 'acme', 'A', '1', 1));
      await removeTenant(store, 'acme', generation);
      await store.fleet.ingest([
        {
          host,
          at: 1,
          tenants: [],
          events: [agentEvent('gone', { kind: 'tenant.removed' })],
          report: null,
          traffic: [],
        },
      ]);
      expect(await store.lastEvent()).toBe(0);
      await store.fleet.finishRemoval(host, 'acme', generation, 9);
      await store.fleet.finishRemoval(host, 'acme', generation, 10);
      expect(await store.tenant('acme')).toBeNull();
      expect(await store.variables({ app: 'x', pool: 'x', tenant: 'acme' })).toEqual([]);
      expect((await store.fleet.desiredAll(host)).digest).toBe(EMPTY_DIGEST);
      expect((await store.events({}, 0, 10)).map((event) => event.kind)).toEqual(['tenant.removed']);
      expect(await addTenant(store, 'acme')).toBe(generation + 1);
    },
  );

  on('a restored coordinator observes in an epoch above all, once', async (store) => {
    expect(await store.fleet.epoch()).toEqual({ epoch: 1, mode: 'apply', reason: null });
    const first = await store.fleet.enterObserveOnly('older than its agents', 5, 7);
    expect(first).toEqual({ epoch: 8, mode: 'observe', reason: 'older than its agents' });
    expect(await store.fleet.enterObserveOnly('again', 6)).toEqual(first);
    expect(await store.fleet.enterObserveOnly('again', 6, 7)).toEqual(first);
    expect(await store.fleet.enterObserveOnly('later still', 6, 9)).toMatchObject({ epoch: 10 });
    await write(store, (tx) => tx.setMode('apply', null));
    expect(await store.epoch()).toEqual({ epoch: 10, mode: 'apply', reason: null });
  });
}

async function apply(
  store: Store,
  host: string,
  op: Op,
  model: { tenants: Record<string, DesiredTenant>; tombstones: Record<string, Tombstone> },
): Promise<void> {
  delete model.tenants[op.tenant];
  delete model.tombstones[op.tenant];
  const entry = desired(op.tenant, { generation: op.generation });
  const tombstone: Tombstone = { tenant: op.tenant, generation: op.generation, state: 'proposed' };
  await write(store, (tx) => {
    switch (op.kind) {
      case 'tenant':
        model.tenants[op.tenant] = entry;
        return tx.putDesired(host, { kind: 'tenant', entry });
      case 'tombstone':
        model.tombstones[op.tenant] = tombstone;
        return tx.putDesired(host, { kind: 'tombstone', entry: tombstone });
      case 'forgotten':
        return tx.putDesired(host, { kind: 'forgotten', tenant: op.tenant });
    }
  });
}
