import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { COMPOSE, testCoordinator, type TestCoordinator } from '../support/coordinator.ts';

let c: TestCoordinator;
beforeEach(async () => {
  c = await testCoordinator();
});
afterEach(async () => {
  await c.close();
});

describe('rollouts over HTTP', () => {
  test('are planned, begun, looked at, paused and aborted; apps freeze; tenants have tags and a history', async () => {
    await c.host();
    const client = await c.client('operator');
    await client.applyApp({ params: { app: 'shop' }, body: { compose: COMPOSE } });
    for (const tenant of ['acme', 'globex'])
      await client.createTenant({ body: { tenant, app: 'shop', domains: [`${tenant}.example.com`] } });
    await client.applyApp({
      params: { app: 'shop' },
      body: { compose: COMPOSE.replace('GREETING:-hello', 'GREETING:-hi') },
    });
    expect(
      await client.setTenant({ params: { tenant: 'globex' }, body: { addTags: ['canary'], pinned: null } }),
    ).toMatchObject({ tags: ['canary'], pinned: null });

    const policy = {
      waves: [
        { target: { kind: 'tag' as const, tag: 'canary' } },
        { target: { kind: 'share' as const, percent: 100 } },
      ],
    };
    const plan = await client.planRollout({ body: { app: 'shop', to: 2, policy } });
    expect(plan.waves.map((wave) => wave.tenants.map((each) => each.tenant))).toEqual([['globex'], ['acme']]);
    expect(plan.waves[0]?.tenants[0]).toMatchObject({
      now: { kind: 'pending' },
      error: null,
      changes: expect.arrayContaining([
        { path: 'services.web.environment.GREETING', before: 'hello', after: 'hi' },
      ]),
    });
    expect(plan.warnings.join(' ')).toContain('not pinned by digest');
    const falling = [
      { target: { kind: 'share' as const, percent: 50 } },
      { target: { kind: 'share' as const, percent: 25 } },
    ];
    await expect(
      client.planRollout({ body: { app: 'shop', to: 2, policy: { waves: falling } } }),
    ).rejects.toMatchObject({ code: 'invalid_request', message: /must rise/ });

    const begun = await client.startRollout({ body: { app: 'shop', to: 2, policy } });
    expect(begun).toMatchObject({ rollout: 1, wave: 1, state: { kind: 'running' } });
    await c.turn();
    const params = { rollout: 1 };
    const tenants = await client.rolloutTenants({ params, query: { wave: 1 } });
    expect(tenants.items).toMatchObject([{ tenant: 'globex', wave: 1, progress: { kind: 'moving' } }]);
    expect(await client.pauseRollout({ params, body: { reason: 'lunch' } })).toMatchObject({
      state: { kind: 'paused', by: 'operator' },
    });
    const events = await client.listEvents({ query: { app: 'shop', kind: 'rollout.state' } });
    expect(events.items[0]?.message).toMatch(/is paused: by .*: lunch$/);
    expect((await client.listEvents({ query: { app: 'other' } })).items).toEqual([]);
    expect((await client.abortRollout({ params, body: {} })).state).toMatchObject({
      kind: 'rolling-back',
      scope: 'under-way',
    });
    expect((await client.listRollouts({ query: { app: 'shop' } })).items).toHaveLength(1);
    await expect(client.showRollout({ params: { rollout: 7 } })).rejects.toMatchObject({ code: 'not_found' });

    const history = await client.tenantHistory({ params: { tenant: 'globex' }, query: {} });
    expect(history.items.map((each) => each.what)).toEqual(['returning', 'moved', 'created']);
    expect(
      await client.freezeApp({ params: { app: 'shop' }, body: { reason: 'Black Friday' } }),
    ).toMatchObject({ frozen: 'Black Friday' });
    await expect(client.startRollout({ body: { app: 'shop', to: 2, policy } })).rejects.toMatchObject({
      code: 'conflict',
    });
    expect(await client.unfreezeApp({ params: { app: 'shop' } })).toMatchObject({ frozen: null });
  });
});
