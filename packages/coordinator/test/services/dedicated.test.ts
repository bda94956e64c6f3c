import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CreateTenant } from '@berth/shared/api/schemas';
import { DesiredTenant } from '@berth/shared/domain/desired';
import type { Egress } from '@berth/shared/domain/egress';
import { BerthError } from '@berth/shared/domain/errors';
import { place, type PlacementHost } from '../../src/services/placement.ts';
import { COMPOSE, testServices, type TestServices } from '../support/coordinator.ts';
import { BY, GIB, hostId, MIB } from '../support/samples.ts';

const need = { memoryBytes: 256 * MIB, cpus: 0.1, surgeBytes: 0 };

function host(n: number, given: Partial<PlacementHost> = {}): PlacementHost {
  return {
    host: hostId(n),
    name: `host-${n}`,
    pool: 'default',
    scheduling: 'open',
    connection: 'online',
    memoryBytes: 8 * GIB,
    cpus: 4,
    reservedMemory: 0,
    reservedCpus: 0,
    largestSurge: 0,
    tenants: 0,
    dedicatedTo: null,
    ...given,
  };
}

describe('placement of dedicated tenants', () => {
  test('never lets one share, whatever comes and goes, and refuses only where no host is left', () => {
    const step = fc.record({
      what: fc.constantFrom('shared' as const, 'dedicated' as const, 'dedicated' as const, 'leave' as const),
      which: fc.nat(20),
      named: fc.option(fc.integer({ min: 1, max: 6 })),
    });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 6 }), fc.array(step, { maxLength: 40 }), (count, steps) => {
        const state = Array.from({ length: count }, (_, n) => host(n + 1));
        const placed: { tenant: string; tenancy: 'shared' | 'dedicated'; on: PlacementHost }[] = [];
        for (const [n, { what, which, named }] of steps.entries()) {
          if (what === 'leave') {
            const [gone] = placed.splice(which % Math.max(1, placed.length), 1);
            if (gone === undefined) continue;
            gone.on.tenants -= 1;
            gone.on.reservedMemory -= need.memoryBytes;
            if (gone.tenancy === 'dedicated') gone.on.dedicatedTo = null;
            continue;
          }
          const only = named === null ? undefined : hostId(named);
          const found = place(state, need, { pool: 'default', host: only, tenancy: what });
          if (found.kind === 'refused') {
            const left = state.filter(
              (each) =>
                (only === undefined || each.host === only) &&
                each.dedicatedTo === null &&
                (what === 'shared' || each.tenants === 0),
            );
            expect(left.filter((each) => each.reservedMemory < 4 * GIB)).toEqual([]);
            continue;
          }
          const on = state.find((each) => each.host === found.host);
          if (on === undefined) throw new Error('placed on a host that does not exist');
          on.tenants += 1;
          on.reservedMemory += need.memoryBytes;
          if (what === 'dedicated') on.dedicatedTo = `t${n}`;
          placed.push({ tenant: `t${n}`, tenancy: what, on });
        }
        for (const one of placed.filter((each) => each.tenancy === 'dedicated'))
          expect(placed.filter((each) => each.on === one.on)).toEqual([one]);
      }),
    );
  });

  test('says why, host by host', () => {
    const hosts = [
      host(1, { tenants: 3 }),
      host(2, { tenants: 1, dedicatedTo: 'acme' }),
      host(3, { tenants: 1, scheduling: 'cordoned' }),
    ];
    expect(place(hosts, need, { pool: 'default', tenancy: 'dedicated' })).toMatchObject({
      kind: 'refused',
      code: 'no_host',
      reason:
        'A dedicated tenant needs a host without any other tenant: host-1 carries 3 tenants; host-2 is dedicated to one tenant; host-3 is cordoned. Join a host with a token from "berth host join-token".',
    });
    expect(place(hosts.slice(1), need, { pool: 'default' })).toMatchObject({
      reason:
        'No host of pool default can take a tenant now: host-2 is dedicated to one tenant; host-3 is cordoned. Join a host with a token from "berth host join-token", or choose another pool.',
    });
  });
});

describe('the API', () => {
  let t: TestServices;
  beforeEach(async () => {
    t = await testServices();
    await t.services.apps.apply(BY, 'shop', { compose: COMPOSE, envFiles: {}, labels: {}, set: {} });
  });
  afterEach(() => t.close());
  const create = (tenant: string, given: object = {}) =>
    t.services.tenants.create(
      BY,
      CreateTenant.parse({ tenant, app: 'shop', domains: [`${tenant}.example.com`], ...given }),
    );
  const desired = async (on: string, tenant: string): Promise<DesiredTenant> => {
    const { entries } = await t.store.fleet.desiredAll(on);
    return DesiredTenant.parse(JSON.parse(entries.find((each) => each.tenant === tenant)?.json ?? 'null'));
  };

  test('keeps everybody else off the host of a dedicated tenant', async () => {
    const one = await t.host('one');
    const two = await t.host('two');
    const acme = await create('acme', { tenancy: 'dedicated' });
    const other = acme.host === one ? two : one;
    expect((await create('globex')).host).toBe(other);
    expect((await create('initech')).host).toBe(other);
    await expect(create('umbrella', { host: acme.host })).rejects.toMatchObject({ code: 'no_host' });
    await expect(create('umbrella', { tenancy: 'dedicated' })).rejects.toMatchObject({ code: 'no_host' });
    expect(await t.services.tenants.show('acme')).toMatchObject({ tenancy: 'dedicated' });
    expect(await t.services.hosts.show(acme.host)).toMatchObject({ tenants: 1, dedicatedTo: 'acme' });
    expect(await t.services.hosts.show(other)).toMatchObject({ tenants: 2, dedicatedTo: null });
  });

  test('makes a tenant dedicated where it is when nobody else is there, and shared again', async () => {
    const one = await t.host('one');
    await create('acme');
    await create('globex');
    const set = (tenancy: 'shared' | 'dedicated') => t.services.tenants.change(BY, 'acme', { tenancy });
    await expect(set('dedicated')).rejects.toThrow(/^Host one carries 1 other tenant, so it cannot/);
    await t.services.tenants.remove(BY, 'globex');
    // Its containers are still there until the agent has said that they are gone.
    await expect(set('dedicated')).rejects.toMatchObject({ code: 'conflict' });
    const two = await t.host('two');
    const alone = await create('hooli', { host: two });
    const before = t.fleet.told.length;
    const changed = await t.services.tenants.change(BY, 'hooli', { tenancy: 'dedicated' });
    expect(changed).toMatchObject({ generation: alone.generation, result: 'unchanged' });
    expect(t.fleet.told).toHaveLength(before);
    await expect(create('umbrella', { host: two })).rejects.toMatchObject({ code: 'no_host' });
    await t.services.tenants.change(BY, 'hooli', { tenancy: 'shared' });
    expect((await create('umbrella', { host: two })).host).toBe(two);
    const actions = (await t.store.audit(undefined, 100)).filter((row) => row.subject === 'hooli');
    expect(actions.map((row) => row.action).reverse()).toEqual([
      'tenant.created',
      'tenant.changed',
      'tenant.changed',
    ]);
    expect(one).not.toBe(two);
  });

  test('never lets one share, whatever is asked in any order', async () => {
    const ask = fc.record({
      tenant: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f'),
      what: fc.constantFrom('create' as const, 'create' as const, 'change' as const),
      tenancy: fc.constantFrom('shared' as const, 'shared' as const, 'dedicated' as const),
      host: fc.option(fc.nat(2)),
    });
    let dedicated = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(ask, { minLength: 4, maxLength: 20 }), async (asked) => {
        const c = await testServices();
        try {
          await c.services.apps.apply(BY, 'shop', { compose: COMPOSE, envFiles: {}, labels: {}, set: {} });
          const hosts = [await c.host('one'), await c.host('two'), await c.host('three')];
          for (const { tenant, what, tenancy, host: on } of asked) {
            const domains = [`${tenant}.example.com`];
            const where = on === null ? {} : { host: hosts[on] };
            const body = CreateTenant.parse({ tenant, app: 'shop', domains, tenancy, ...where });
            try {
              if (what === 'create') await c.services.tenants.create(BY, body);
              else await c.services.tenants.change(BY, tenant, { tenancy });
            } catch (thrown) {
              if (!(thrown instanceof BerthError)) throw thrown;
              expect(['no_host', 'conflict', 'not_found', 'already_exists']).toContain(thrown.code);
            }
          }
          const all = (await c.services.tenants.list({}, { limit: 500 })).items;
          for (const one of all.filter((each) => each.tenancy === 'dedicated')) {
            dedicated += 1;
            const there = all.filter((each) => each.host === one.host).map((each) => each.tenant);
            expect(there).toEqual([one.tenant]);
          }
        } finally {
          await c.close();
        }
      }),
      { numRuns: 40 },
    );
    expect(dedicated).toBeGreaterThan(10);
  });

  test('lets an operator say where a tenant connects to, at once and without a new generation', async () => {
    const on = await t.host();
    const made = await create('acme');
    const change = (egress: Egress | null) =>
      t.services.tenants.change(BY, 'acme', { egress: egress ?? null });
    expect(await change('none')).toMatchObject({ generation: made.generation, result: 'changed' });
    expect(await desired(on, 'acme')).toMatchObject({ generation: 1, egress: 'none' });
    expect(await t.services.tenants.show('acme')).toMatchObject({ egress: 'none' });
    await change(['10.0.0.0/8']);
    expect(await desired(on, 'acme')).toMatchObject({ egress: ['10.0.0.0/8'] });
    expect(await change(['10.0.0.0/8'])).toMatchObject({ result: 'unchanged' });
    const [event] = (await t.store.events({ tenant: 'acme' }, undefined, 100)).slice(-1);
    expect(event?.message).toContain('may connect to: 10.0.0.0/8');
    await change(null);
    expect((await desired(on, 'acme')).egress).toBeUndefined();
  });

  test('takes what an app says of egress into the desired state, and a variable of it without a new generation', async () => {
    const on = await t.host();
    await t.services.apps.apply(BY, 'shop', {
      compose: `${COMPOSE}\nx-berth:\n  egress: "\${EGRESS:-public}"\n`,
      envFiles: {},
      labels: {},
      set: {},
    });
    await create('acme');
    expect((await desired(on, 'acme')).spec.egress).toBe('public');
    const changed = await t.services.tenants.change(BY, 'acme', { variables: { EGRESS: 'none' } });
    expect(changed).toMatchObject({ generation: 1, result: 'changed' });
    expect(await desired(on, 'acme')).toMatchObject({ generation: 1, spec: { egress: 'none' } });
  });
});
