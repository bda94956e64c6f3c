import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ApplyApp, CreateTenant } from '@berth/shared/api/schemas';
import { COMPOSE, testServices, type TestServices } from '../support/coordinator.ts';
import { BY } from '../support/samples.ts';

let t: TestServices;
beforeEach(async () => {
  t = await testServices();
  await t.host('one', 'eu-1');
  await t.host('two', 'us-1');
  await t.services.apps.apply(BY, 'shop', ApplyApp.parse({ compose: COMPOSE }));
  for (const [tenant, pool] of [
    ['acme', 'eu-1'],
    ['globex', 'us-1'],
  ])
    await t.services.tenants.create(
      BY,
      CreateTenant.parse({ tenant, app: 'shop', pool, domains: [`${tenant}.example.com`] }),
    );
});
afterEach(async () => {
  await t.close();
});

const set = (pool: string, change: Record<string, string | null>) =>
  t.services.pools.setVariables(BY, pool, change);
async function greetingOf(tenant: string): Promise<string | undefined> {
  const record = await t.store.tenant(tenant);
  const desired = await t.store.desiredTenant(record?.host ?? '', tenant);
  return desired?.spec.services[0]?.environment['GREETING'];
}

describe('the variables of a pool', () => {
  test('reach its tenants with their next change, and no tenant of another pool', async () => {
    const generation = (await t.store.tenant('acme'))?.generation ?? 0;
    const told = t.fleet.told.length;
    expect(await set('eu-1', { GREETING: 'hallo' })).toEqual({
      pool: 'eu-1',
      result: 'changed',
      variables: { GREETING: 'hallo' },
    });
    expect((await t.store.tenant('acme'))?.generation).toBe(generation);
    expect(t.fleet.told).toHaveLength(told);
    expect(await t.services.questions.config('acme')).toContainEqual({
      name: 'GREETING',
      value: 'hallo',
      source: 'pool',
    });

    for (const tenant of ['acme', 'globex']) await t.services.tenants.restart(BY, tenant);
    expect(await greetingOf('acme')).toBe('hallo');
    expect(await greetingOf('globex')).toBe('hello');
  });

  test('stand above the app’s and below the tenant’s', async () => {
    await t.services.releases.setVariables(BY, 'shop', { GREETING: 'of the app' });
    await set('eu-1', { GREETING: 'of the pool' });
    for (const tenant of ['acme', 'globex']) await t.services.tenants.restart(BY, tenant);
    expect([await greetingOf('acme'), await greetingOf('globex')]).toEqual(['of the pool', 'of the app']);
    await t.services.tenants.change(BY, 'acme', { variables: { GREETING: 'of the tenant' } });
    expect(await greetingOf('acme')).toBe('of the tenant');
  });

  test('are taken away with null; what changes nothing is no record in the audit', async () => {
    await set('eu-1', { GREETING: 'private', COLOUR: 'red' });
    expect(await set('eu-1', { GREETING: null })).toMatchObject({ variables: { COLOUR: 'red' } });
    const records = await t.store.audit(undefined, 2);
    expect(records).toMatchObject([
      { action: 'pool.variables', subject: 'eu-1', after: { variables: ['GREETING'] } },
      { action: 'pool.variables', subject: 'eu-1', after: { variables: ['COLOUR', 'GREETING'] } },
    ]);
    expect(JSON.stringify(records)).not.toContain('private');
    expect(await set('eu-1', { GREETING: null })).toMatchObject({ result: 'unchanged' });
    expect(await t.store.audit(undefined, 2)).toEqual(records);
  });

  test('cannot have Berth’s own names, nor belong to a pool that nobody is in', async () => {
    await expect(set('eu-1', { BERTH_APP: 'x' })).rejects.toMatchObject({ code: 'invalid_request' });
    await expect(set('ue-1', { GREETING: 'x' })).rejects.toMatchObject({
      code: 'not_found',
      message: expect.stringContaining('join-token --pool ue-1'),
    });
    expect((await t.services.pools.list({ limit: 10 })).items.map(({ pool }) => pool)).toEqual([
      'eu-1',
      'us-1',
    ]);
  });
});

test('pools are listed page by page, with how many are in them and what they set', async () => {
  await set('us-1', { B: '2', A: '1' });
  const first = await t.services.pools.list({ limit: 1 });
  expect(first).toEqual({ items: [{ pool: 'eu-1', hosts: 1, tenants: 1, variables: [] }], next: 'eu-1' });
  expect(await t.services.pools.list({ limit: 1, after: 'eu-1' })).toEqual({
    items: [{ pool: 'us-1', hosts: 1, tenants: 1, variables: ['A', 'B'] }],
    next: null,
  });
  expect(await t.services.pools.show('us-1')).toEqual({
    pool: 'us-1',
    hosts: 1,
    tenants: 1,
    variables: { A: '1', B: '2' },
    join: { aws: null },
  });
  await expect(t.services.pools.show('ue-1')).rejects.toMatchObject({ code: 'not_found' });
});
