import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { publicKey, testServices, type TestServices } from '../support/coordinator.ts';
import { BY } from '../support/samples.ts';

let t: TestServices;
beforeEach(async () => {
  t = await testServices();
});
afterEach(async () => {
  await t.close();
});
const joinToken = (ttlMs = 60_000) => t.services.hosts.joinToken(BY, { pool: 'default', ttlMs });
const enrol = (token: string, key = publicKey()) =>
  t.services.hosts.enrol(BY, { token, publicKey: key, name: 'one' });

describe('enrolling a host', () => {
  test('binds a key to a new host, and the same key again answers the same host', async () => {
    const { token } = await joinToken();
    const key = publicKey();
    const first = await enrol(token, key);
    expect(first.host).toMatch(/^h_[a-z0-9]{16}$/);
    expect(await enrol(token, key)).toEqual(first);
    const other = await joinToken();
    expect(await enrol(other.token, key)).toEqual(first);
    t.clock.time += 120_000;
    expect(await enrol(token, key)).toEqual(first);
    expect((await t.services.hosts.list({ limit: 10 })).items).toHaveLength(1);
  });

  test('takes a token once, and not after its time', async () => {
    const used = await joinToken();
    await enrol(used.token);
    await expect(enrol(used.token)).rejects.toThrow(/was used by another host/);
    const late = await joinToken(1000);
    t.clock.time += 1000;
    await expect(enrol(late.token)).rejects.toThrow(/has run out/);
    await expect(enrol('berth_join_nonsense')).rejects.toMatchObject({ code: 'unauthenticated' });
    expect((await t.services.hosts.list({ limit: 10 })).items).toHaveLength(1);
  });

  test('of two with one token at the same moment lets one in', async () => {
    const { token } = await joinToken();
    const outcomes = await Promise.allSettled([enrol(token), enrol(token)]);
    expect(outcomes.map((outcome) => outcome.status).sort()).toEqual(['fulfilled', 'rejected']);
  });

  test('refuses what is not an Ed25519 key', async () => {
    const { token } = await joinToken();
    for (const key of ['', 'not base64!', publicKey().slice(0, 40)])
      await expect(enrol(token, key)).rejects.toMatchObject({ code: 'invalid_request' });
    await enrol(token);
  });
});

describe('a host', () => {
  test('that is cordoned takes no tenant until it is opened again', async () => {
    const host = await t.host();
    expect(await t.services.hosts.schedule(BY, host, 'cordoned')).toMatchObject({ scheduling: 'cordoned' });
    const records = (await t.store.audit(undefined, 100)).length;
    await t.services.hosts.schedule(BY, host, 'cordoned');
    expect(await t.store.audit(undefined, 100)).toHaveLength(records);
    expect(await t.services.hosts.schedule(BY, host, 'open')).toMatchObject({ scheduling: 'open' });
  });

  test('is removed when it carries nothing, and not known afterwards', async () => {
    const host = await t.host();
    await t.services.hosts.remove(BY, host);
    await expect(t.services.hosts.show(host)).rejects.toMatchObject({ code: 'not_found' });
    expect(await t.store.fleet.hostsForHello([host])).toEqual(new Map());
    // Its agent's session ends with it.
    expect(t.fleet.gone).toEqual([host]);
  });
});

describe('API tokens', () => {
  const bearer = (token: string) => t.services.access.authenticate(`Bearer ${token}`);

  test('of an admin is not revoked while no other is left that could make one', async () => {
    const make = (name: string, more: object = {}) =>
      t.services.access.create(BY, { name, role: 'admin', ...more });
    const first = await make('first');
    await make('scoped', { scope: { apps: ['shop'], pools: [], tenants: [] } });
    await make('short', { ttlMs: 60_000 });
    t.clock.time += 60_000;
    await t.services.access.create(BY, { name: 'looker', role: 'viewer' });
    await expect(t.services.access.revoke(BY, first.id)).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining('last admin token'),
    });
    const second = await make('second');
    await t.services.access.revoke(BY, first.id);
    await expect(t.services.access.revoke(BY, second.id)).rejects.toMatchObject({ code: 'conflict' });
  });

  test('let their role in until they run out or are revoked', async () => {
    const made = await t.services.access.create(BY, { name: 'ci', role: 'operator', ttlMs: 5000 });
    expect(await bearer(made.token)).toMatchObject({ actor: `token:${made.id} ci`, role: 'operator' });
    t.clock.time += 5000;
    await expect(bearer(made.token)).rejects.toThrow(/"ci" has run out/);
    const other = await t.services.access.create(BY, { name: 'ops', role: 'operator' });
    await t.services.access.revoke(BY, other.id);
    await expect(bearer(other.token)).rejects.toMatchObject({ code: 'unauthenticated' });
    await expect(t.services.access.revoke(BY, other.id)).rejects.toMatchObject({ code: 'not_found' });
  });

  test('are nowhere in the store or the audit in plain text', async () => {
    const made = await t.services.access.create(BY, { name: 'ci', role: 'admin' });
    const kept = JSON.stringify([await t.store.tokens(), await t.store.audit(undefined, 100)]);
    expect(kept).not.toContain(made.token);
    expect(kept).not.toContain(made.token.slice(10, 30));
  });

  test('remember their last use to within five minutes, without a write each time', async () => {
    const made = await t.services.access.create(BY, { name: 'ci', role: 'admin' });
    const last = async () => (await t.store.tokens())[0]?.lastUsedAt;
    await bearer(made.token);
    const first = t.clock.time;
    t.clock.time += 60_000;
    await bearer(made.token);
    expect(await last()).toBe(first);
    t.clock.time += 300_000;
    await bearer(made.token);
    expect(await last()).toBe(t.clock.time);
  });

  test('of the first start are made once, and kept before they are valid', async () => {
    const kept: string[] = [];
    const full = () =>
      t.services.access.bootstrap(() => {
        throw new Error('the disk is full');
      });
    await expect(full()).rejects.toThrow('the disk is full');
    expect(await t.services.access.bootstrap((token) => kept.push(token))).toBe('made');
    expect(await t.services.access.bootstrap((token) => kept.push(token))).toBe('present');
    expect(kept).toHaveLength(1);
    expect(await bearer(kept[0] ?? '')).toMatchObject({ role: 'admin' });
  });
});
