import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { DesiredTenant } from '@berth/shared/domain/desired';
import { CreateTenant } from '@berth/shared/api/schemas';
import type { StoreWrites } from '../../src/services/store.ts';
import { COMPOSE, testServices, type TestServices } from '../support/coordinator.ts';
import { BY, report } from '../support/samples.ts';

let t: TestServices;
let host: string;
beforeEach(async () => {
  t = await testServices();
  host = await t.host();
  await apply();
});
afterEach(async () => {
  await t.close();
});

const apply = (compose = COMPOSE) =>
  t.services.apps.apply(BY, 'shop', { compose, envFiles: {}, labels: {}, set: {} });
const create = (tenant: string, given: object = {}) =>
  t.services.tenants.create(
    BY,
    CreateTenant.parse({ tenant, app: 'shop', domains: [`${tenant}.example.com`], ...given }),
  );
async function desiredOn(tenant: string): Promise<DesiredTenant> {
  const { entries } = await t.store.fleet.desiredAll(host);
  const entry = entries.find((each) => each.tenant === tenant);
  return DesiredTenant.parse(JSON.parse(entry?.json ?? 'null'));
}
/** Writes what a rollout writes, without one. */
const write = (work: (tx: StoreWrites) => Promise<unknown>) =>
  t.store.mutate(BY, 9, async (tx) => {
    await work(tx);
    return { result: null, audit: { action: 'test', subject: 'acme', before: null, after: null } };
  });

describe('a new tenant', () => {
  test('begins with the release that the last rollout brought, and with the tags it is given', async () => {
    await apply(`${COMPOSE}\n# another release`);
    expect(await create('newest')).toMatchObject({ generation: 1 });
    await write((tx) => tx.setCurrent('shop', 1));
    await create('acme', { tags: ['canary', 'tier=free', 'canary'] });
    await create('asked', { release: 2 });
    const shown = await Promise.all(['newest', 'acme', 'asked'].map((each) => t.services.tenants.show(each)));
    expect(shown.map(({ release }) => release)).toEqual([2, 1, 2]);
    expect(shown[1]).toMatchObject({ tags: ['canary', 'tier=free'], pinned: null, window: null });
  });
});

describe('a tenant', () => {
  test('that went back to an earlier generation word for word gets a number that was never used', async () => {
    await create('acme');
    const first = await desiredOn('acme');
    const before = await t.store.tenant('acme');
    if (before === null) throw new Error('acme was created');
    await t.services.tenants.restart(BY, 'acme');
    await write(async (tx) => {
      await tx.updateTenant(before);
      await tx.putDesired(host, { kind: 'tenant', entry: first });
    });
    // Its host still speaks of what it goes back from: that says nothing of what is desired now.
    const newer = report('acme', { generation: first.generation + 1, live: first.generation + 1 });
    await t.store.fleet.ingest([{ host, at: 9, tenants: [newer], events: [], report: null, traffic: [] }]);
    expect(await t.services.tenants.show('acme')).toMatchObject({ phase: 'waiting', live: newer.live });
    expect(await t.services.tenants.restart(BY, 'acme')).toMatchObject({ generation: first.generation + 2 });
  });

  test('keeps the time to bake that its generation was given with when only its domains change', async () => {
    await create('acme');
    const first = await desiredOn('acme');
    const given = { ...first, spec: { ...first.spec, bakeMs: 120_000 } };
    await write(async (tx) => {
      await tx.putDesired(host, { kind: 'tenant', entry: given });
    });
    expect(await t.services.tenants.change(BY, 'acme', {})).toMatchObject({ result: 'unchanged' });
    expect(await t.services.questions.plan('acme', { domains: ['new.example.com'] })).toMatchObject({
      effect: 'routes-only',
      changes: [{ path: 'domains' }],
    });
    expect(await t.services.tenants.change(BY, 'acme', { domains: ['new.example.com'] })).toMatchObject({
      generation: first.generation,
    });
    expect(await desiredOn('acme')).toEqual({ ...given, domains: ['new.example.com'] });
  });
});
