import { expect } from 'vitest';
import type { Store } from '../../src/services/store.ts';
import type { AgentEvent, TenantReport } from '@berth/shared/protocol/report';
import { agentEvent, hello, report } from '../support/samples.ts';
import { addApp, addHost, addTenant, contractContext, type OpenEmpty } from './contract.ts';

const DAY = 86_400_000;

async function tell(
  store: Store,
  host: string,
  events: readonly AgentEvent[],
  tenants: readonly TenantReport[] = [],
): Promise<void> {
  await store.fleet.ingest([
    { host, at: 10 * DAY, tenants: [...tenants], events: [...events], report: null, traffic: [] },
  ]);
}

/** As it comes out of JSON, which reads what it cannot write. */
function nested(levels: number): Record<string, unknown> {
  let value: Record<string, unknown> = {};
  for (let n = 0; n < levels; n += 1) value = { a: value };
  return value;
}

/** A host that somebody has taken over may say what it likes. What of it is kept is of its own. */
export function toldContract(open: OpenEmpty): void {
  const { on } = contractContext(open);

  on('a host tells nothing of a tenant that is on another', async (store) => {
    await addApp(store);
    const [home, foreign] = [await addHost(store, 1), await addHost(store, 2)];
    await addTenant(store, 'acme', home);
    const failed = { tenant: 'acme', kind: 'tenant.failed', message: 'It failed.' };
    await tell(store, foreign, [agentEvent('a-1', failed), agentEvent('a-2', { message: 'Its own.' })]);
    await tell(store, home, [agentEvent('b-1', failed)]);
    // Of one that is nobody's, such as a tenant whose removal is over, it may.
    await tell(store, foreign, [agentEvent('a-3', { ...failed, tenant: 'gone' })]);
    const events = await store.events({}, 0, 10);
    expect(events.map(({ host, tenant, app, message }) => [host, tenant, app, message])).toEqual([
      [foreign, null, null, 'Its own.'],
      [home, 'acme', 'shop', 'It failed.'],
      [foreign, 'gone', null, 'It failed.'],
    ]);
  });

  on('a host tells nothing in the coordinator’s name', async (store) => {
    await addApp(store);
    const host = await addHost(store, 1);
    await addTenant(store, 'acme', host);
    const kinds = [
      'rollout.tenant',
      'rollout.state',
      'token.exchanged',
      'coordinator.epoch',
      'host.clone_refused',
      'host.enrolled',
      'host.offline',
      'tenant.created',
      'tenant.removed',
      'tenant.live\n\nevent: x',
      'whatever',
    ];
    await tell(
      store,
      host,
      kinds.map((kind, n) => agentEvent(`a-${n}`, { kind, tenant: 'acme' })),
    );
    expect(await store.events({}, 0, 20)).toEqual([]);
    await tell(store, host, [agentEvent('a-90', { kind: 'tenant.something_new', tenant: 'acme' })]);
    expect(await store.events({}, 0, 20)).toMatchObject([{ kind: 'tenant.something_new' }]);
  });

  on('one host’s words hold up nobody else’s, whatever they are', async (store) => {
    await addApp(store);
    const [odd, good] = [await addHost(store, 1), await addHost(store, 2)];
    await addTenant(store, 'acme', odd);
    await addTenant(store, 'globex', good);
    const events = [
      agentEvent('nul\0', { message: 'a\0b' }),
      agentEvent('far', { at: 1e300 }),
      agentEvent('long-ago', { at: -1e300 }),
      agentEvent('part', { at: 1.5 }),
      agentEvent('deep', { details: nested(100_000) }),
    ];
    const traffic = {
      tenant: 'acme',
      generation: 1,
      slot: 1e300,
      run: -1e300,
      traffic: { requests: 1, errors: 0, latency: Array.from({ length: 24 }, () => 0) },
    };
    const common = { at: 10 * DAY, report: null, traffic: [] };
    await store.fleet.ingest([
      { ...common, host: odd, tenants: [report('acme', { at: 1e300 })], events, traffic: [traffic] },
      { ...common, host: good, tenants: [report('globex')], events: [agentEvent('ok')] },
    ]);
    expect(await store.tenantReport('globex')).toMatchObject({ phase: 'settled' });
    const kept = await store.events({}, 0, 10);
    expect(kept.map(({ host, at, message }) => [host, at, message])).toEqual([
      [odd, 1000, 'a\ufffdb'],
      [odd, 11 * DAY, 'Docker is up.'],
      [odd, 0, 'Docker is up.'],
      [odd, 2, 'Docker is up.'],
      [odd, 1000, 'Docker is up.'],
      [good, 1000, 'Docker is up.'],
    ]);
    const given = {
      agentVersion: '1\0',
      bootId: '\0',
      capacity: { memoryBytes: 1e300, cpus: 1e300, diskBytes: -1e300 },
      ingress: { address: '\0', port: 1 },
    };
    await store.fleet.noteConnections([
      { kind: 'online', host: odd, hello: hello(odd, given), at: 1 },
      { kind: 'online', host: good, hello: hello(good), at: 1 },
    ]);
    expect(await store.host(good)).toMatchObject({ connection: 'online' });
  });

  on('a host that tells of a generation out of all measure wears out no numbers', async (store) => {
    await addApp(store);
    const host = await addHost(store, 1);
    await addTenant(store, 'acme', host);
    await tell(store, host, [], [report('acme', { generation: 7, at: 1 })]);
    expect(await store.lastGeneration('acme')).toBe(7);
    await tell(store, host, [], [report('acme', { generation: Number.MAX_SAFE_INTEGER, at: 2 })]);
    expect(await store.lastGeneration('acme')).toBe(1);
  });
}
