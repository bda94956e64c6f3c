import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createClient, type ApiClient } from '@berth/shared/api/client';
import { API_PREFIX } from '@berth/shared/api/routes';
import { EVERYTHING, type AccessScope, type Role } from '@berth/shared/domain/access';
import { ROUTES } from '../support/access-table.ts';
import { COMPOSE, testCoordinator, type TestCoordinator } from '../support/coordinator.ts';
import type { Names } from '../support/fitting.ts';
import { BY } from '../support/samples.ts';
import { side } from '../support/side.ts';

let c: TestCoordinator;
let own: Names;
let foreign: Names;
beforeEach(async () => {
  c = await testCoordinator({ streamHeartbeatMs: 20 });
  own = await side(c, 'shop', 'acme', 'eu-1');
  foreign = await side(c, 'blog', 'globex', 'us-1');
});
afterEach(async () => {
  await c.close();
});

async function token(role: Role, scope: Partial<AccessScope>): Promise<string> {
  return (await c.services.access.create(BY, { name: 'x', role, scope: { ...EVERYTHING, ...scope } })).token;
}
async function clientOf(role: Role, scope: Partial<AccessScope>): Promise<ApiClient> {
  return createClient({ url: c.url, token: await token(role, scope) });
}
const SCOPES: Partial<AccessScope>[] = [{ apps: ['shop'] }, { pools: ['eu-1'] }, { tenants: ['acme'] }];

describe('a list', () => {
  test('has nothing of what is outside the scope, whatever is asked of it', async () => {
    const secrets = [foreign['app'], foreign['tenant'], foreign['pool'], foreign['host'], 'host-of-blog'];
    let bodies = 0;
    for (const scope of SCOPES) {
      const authorization = `Bearer ${await token('viewer', scope)}`;
      for (const [name, route] of ROUTES) {
        if (route.on !== 'listed' || route.method !== 'GET' || route.access !== 'viewer') continue;
        const queries = ['', '?limit=1', `?app=${foreign['app']}`, `?host=${foreign['host']}`, '?after=a'];
        for (const query of name === 'status' ? [''] : queries) {
          const answer = await fetch(`${c.url}${API_PREFIX}${route.path}${query}`, {
            headers: { authorization },
          });
          const text = await answer.text();
          if (answer.status === 400) continue;
          bodies += 1;
          expect(answer.status, `${name}${query}`).toBe(200);
          for (const secret of secrets) expect(text, `${name}${query}`).not.toContain(secret);
        }
      }
    }
    expect(bodies).toBeGreaterThan(50);
  });

  test('has all of what is inside', async () => {
    const app = await clientOf('viewer', { apps: ['shop'] });
    expect((await app.listApps({ query: {} })).items).toMatchObject([{ app: 'shop', tenants: 1 }]);
    expect((await app.listTenants({ query: {} })).items).toMatchObject([{ tenant: 'acme' }]);
    expect((await app.listRollouts({ query: {} })).items).toMatchObject([{ app: 'shop' }]);
    expect((await app.listHosts({ query: {} })).items).toEqual([]);
    expect((await app.listPools({ query: {} })).items).toEqual([]);
    const pool = await clientOf('viewer', { pools: ['eu-1'] });
    expect((await pool.listHosts({ query: {} })).items).toMatchObject([{ host: own['host'] }]);
    expect((await pool.listPools({ query: {} })).items).toMatchObject([{ pool: 'eu-1', tenants: 1 }]);
    expect((await pool.listTenants({ query: {} })).items).toMatchObject([{ tenant: 'acme' }]);
    const both = await clientOf('viewer', { pools: ['eu-1'], tenants: ['globex'] });
    expect((await both.listTenants({ query: {} })).items.map((one) => one.tenant)).toEqual([
      'acme',
      'globex',
    ]);
    const kinds = (await pool.listEvents({ query: { after: 0 } })).items.map((event) => event.kind);
    expect(kinds).toContain('host.enrolled');
    expect(kinds).toContain('tenant.created');
  });

  test('is paged within the scope: no page is short of what others hold, and the last one says so', async () => {
    for (const name of ['a1', 'a3', 'a5'])
      await c.services.tenants.create(BY, {
        tenant: name,
        app: 'shop',
        domains: [`${name}.example.com`],
        variables: {},
        pool: 'eu-1',
        tags: [],
      });
    for (const name of ['a2', 'a4'])
      await c.services.tenants.create(BY, {
        tenant: name,
        app: 'blog',
        domains: [`${name}.example.com`],
        variables: {},
        pool: 'us-1',
        tags: [],
      });
    const client = await clientOf('viewer', { apps: ['shop'] });
    const first = await client.listTenants({ query: { limit: 3 } });
    expect(first.items.map((one) => one.tenant)).toEqual(['a1', 'a3', 'a5']);
    const rest = await client.listTenants({ query: { limit: 3, after: first.next ?? '' } });
    expect(rest).toMatchObject({ items: [{ tenant: 'acme' }], next: null });
  });

  test('and the status count only what is in scope', async () => {
    const client = await clientOf('viewer', { apps: ['shop'] });
    expect(await client.status()).toMatchObject({ apps: 1, hosts: { total: 0 }, tenants: { total: 1 } });
    const pool = await clientOf('viewer', { pools: ['eu-1'] });
    expect(await pool.status()).toMatchObject({ apps: 0, hosts: { total: 1 }, tenants: { total: 1 } });
    expect(await (await c.client()).status()).toMatchObject({ apps: 2, hosts: { total: 2 } });
  });
});

describe('the stream of events', () => {
  async function heard(bearer: string, until: string, meanwhile: () => Promise<void>): Promise<string> {
    const stop = new AbortController();
    const answer = await fetch(`${c.url}${API_PREFIX}/events/stream?after=0`, {
      headers: { authorization: `Bearer ${bearer}` },
      signal: stop.signal,
    });
    await meanwhile();
    let text = '';
    const decoder = new TextDecoder();
    const body: ReadableStream<Uint8Array> | null = answer.body;
    for await (const chunk of body ?? []) {
      text += decoder.decode(chunk);
      if (text.includes(until)) break;
    }
    stop.abort();
    return text;
  }

  test('holds only what is in scope, of the past and of what happens now', async () => {
    for (const scope of SCOPES) {
      const { generation } = await c.services.tenants.restart(BY, 'acme');
      await c.services.tenants.restart(BY, 'globex');
      const text = await heard(await token('viewer', scope), `"generation":${generation + 1}`, async () => {
        await c.services.tenants.restart(BY, 'globex');
        await c.services.tenants.restart(BY, 'acme');
      });
      expect(text).toContain('"tenant":"acme"');
      expect(text).not.toContain('globex');
      expect(text).not.toContain('blog');
    }
  });

  test('is opened a hundred times with one token at most, and again when one is closed', async () => {
    const made = await c.services.access.create(BY, { name: 'x', role: 'viewer' });
    const stops: AbortController[] = [];
    const follow = async (bearer: string): Promise<number> => {
      const stop = new AbortController();
      stops.push(stop);
      const answer = await fetch(`${c.url}${API_PREFIX}/events/stream`, {
        headers: { authorization: `Bearer ${bearer}` },
        signal: stop.signal,
      });
      return answer.status;
    };
    try {
      expect(new Set(await Promise.all(Array.from({ length: 100 }, () => follow(made.token))))).toEqual(
        new Set([200]),
      );
      expect(await follow(made.token)).toBe(429);
      expect(await follow(await token('viewer', {}))).toBe(200);
      stops[0]?.abort();
      await expect.poll(() => follow(made.token)).toBe(200);
    } finally {
      for (const stop of stops) stop.abort();
    }
  });

  test('ends when the token that opened it is revoked', async () => {
    const made = await c.services.access.create(BY, { name: 'x', role: 'viewer' });
    const answer = await fetch(`${c.url}${API_PREFIX}/events/stream`, {
      headers: { authorization: `Bearer ${made.token}` },
    });
    await c.services.access.revoke(BY, made.id);
    // It ends by itself: text() would wait for ever otherwise.
    expect(await answer.text()).toContain(': follows');
  });
});

describe('a scope', () => {
  test('lets a tenant be made only where it reaches, and on no host of others', async () => {
    const make = (client: ApiClient, given: object) =>
      client.createTenant({
        body: { tenant: 'fresh', app: 'shop', domains: ['fresh.example.com'], ...given },
      });
    const app = await clientOf('operator', { apps: ['shop'] });
    await expect(make(app, { app: 'blog' })).rejects.toMatchObject({ code: 'not_found' });
    await expect(make(app, { host: foreign['host'] })).rejects.toMatchObject({ code: 'not_found' });
    const pool = await clientOf('operator', { pools: ['eu-1'] });
    await expect(make(pool, { pool: 'us-1' })).rejects.toMatchObject({ code: 'not_found' });
    await expect(make(pool, { pool: 'eu-1', host: foreign['host'] })).rejects.toMatchObject({
      code: 'not_found',
    });
    // Without a pool it would go to the default one.
    await expect(make(pool, {})).rejects.toMatchObject({ code: 'not_found' });
    expect(await make(pool, { host: own['host'] })).toMatchObject({ result: 'changed', host: own['host'] });
  });

  test('of a deployer lets it release and roll out its app, and do nothing else', async () => {
    const ci = await clientOf('deployer', { apps: ['shop'] });
    const params = { app: 'shop' };
    c.registry.digests.set('registry.test/shop-web:1', `sha256:${'a'.repeat(64)}`);
    expect(await ci.createRelease({ params, body: { compose: COMPOSE } })).toMatchObject({ release: 3 });
    await expect(
      ci.createRelease({ params: { app: 'blog' }, body: { compose: COMPOSE } }),
    ).rejects.toMatchObject({ code: 'not_found' });
    const rollout = { params: { rollout: own['rollout'] ?? '' }, body: {} };
    expect(await ci.pauseRollout(rollout)).toMatchObject({ state: { kind: 'paused' } });
    await expect(
      ci.pauseRollout({ params: { rollout: foreign['rollout'] ?? '' }, body: {} }),
    ).rejects.toMatchObject({ code: 'not_found' });
    await expect(ci.restartTenant({ params: { tenant: 'acme' } })).rejects.toMatchObject({
      code: 'forbidden',
    });
  });

  test('must name apps for a deployer, and only apps', async () => {
    const admin = await c.client();
    for (const scope of [{}, { pools: ['eu-1'] }, { apps: ['shop'], tenants: ['acme'] }])
      await expect(
        admin.createToken({ body: { name: 'ci', role: 'deployer', scope } }),
      ).rejects.toMatchObject({ code: 'invalid_request' });
  });
});

describe('a token', () => {
  test('that lacks a character is told so, one that is mistyped too, and neither is repeated', async () => {
    const good = await token('viewer', {});
    const cases: [string, RegExp][] = [
      [good.slice(0, -1), /cut off: a character is missing/],
      [good.slice(0, -5), /cut off: 5 characters are missing/],
      [
        `${good.slice(0, 12)}${good.charAt(12) === 'x' ? 'y' : 'x'}${good.slice(13)}`,
        /mistyped: its checksum/,
      ],
      [`${good}x`, /mistyped/],
      [good.replace('_api_', '_join_'), /of another kind/],
      ['secret', /not a token of Berth/],
    ];
    for (const [text, sentence] of cases) {
      const call = createClient({ url: c.url, token: text }).status();
      await expect(call).rejects.toMatchObject({ code: 'unauthenticated' });
      await expect(call).rejects.toThrow(sentence);
      await expect(call).rejects.not.toThrow(text);
    }
    expect(JSON.stringify(c.logged)).not.toContain(good.slice(10, 40));
  });
});
