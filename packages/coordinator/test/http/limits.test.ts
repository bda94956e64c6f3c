import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { z } from 'zod';
import { API_PREFIX } from '@berth/shared/api/routes';
import { ApiError } from '@berth/shared/api/schemas';
import type { HttpSettings } from '../../src/http/settings.ts';
import { publicKey, testCoordinator, type TestCoordinator } from '../support/coordinator.ts';

let c: TestCoordinator;
async function start(http: z.input<typeof HttpSettings>): Promise<void> {
  c = await testCoordinator({ http });
}
beforeEach(async () => {
  await start({ limits: { perToken: 20, perAddress: 200, failures: 5 }, trustedProxies: ['127.0.0.1'] });
});
afterEach(async () => {
  await c.close();
});

interface Seen {
  status: number;
  code: string | null;
  retryAfter: string | null;
}
async function get(
  path: string,
  token: string | null,
  from = '203.0.113.1',
  more: object = {},
): Promise<Seen> {
  const answer = await fetch(`${c.url}${path}`, {
    headers: {
      'x-forwarded-for': from,
      ...(token === null ? {} : { authorization: `Bearer ${token}` }),
      ...more,
    },
  });
  const text = await answer.text();
  const error = answer.ok ? null : ApiError.parse(JSON.parse(text)).error;
  return { status: answer.status, code: error?.code ?? null, retryAfter: answer.headers.get('retry-after') };
}
const STATUS = `${API_PREFIX}/status`;

describe('limits', () => {
  test('of a token hold wherever it comes from, say when to try again, and leave other tokens alone', async () => {
    const [one, two] = [await c.token('viewer'), await c.token('viewer')];
    for (let n = 0; n < 20; n++) expect((await get(STATUS, one, `203.0.113.${n}`)).status).toBe(200);
    const refused = await get(STATUS, one, '203.0.113.99');
    expect(refused).toMatchObject({ status: 429, code: 'rate_limited' });
    expect(Number(refused.retryAfter)).toBeGreaterThan(0);
    expect(Number(refused.retryAfter)).toBeLessThanOrEqual(60);
    expect((await get(STATUS, two)).status).toBe(200);
  });

  test('of refused tokens are much lower, and do not shut out whoever has a good one', async () => {
    const good = await c.token('viewer');
    for (let n = 0; n < 5; n++) expect((await get(STATUS, 'berth_api_wrong')).status).toBe(401);
    expect(await get(STATUS, 'berth_api_wrong')).toMatchObject({ status: 429, code: 'rate_limited' });
    expect(await get(STATUS, null)).toMatchObject({ status: 429 });
    expect((await get(STATUS, good)).status).toBe(200);
    expect((await get(STATUS, 'berth_api_wrong', '203.0.113.2')).status).toBe(401);
  });

  test('of refused join tokens and identity tokens are the same, before anything is looked up', async () => {
    const send = async (path: string, body: object): Promise<number> => {
      const answer = await fetch(`${c.url}${API_PREFIX}${path}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'x-forwarded-for': '203.0.113.7' },
        body: JSON.stringify(body),
      });
      await answer.text();
      return answer.status;
    };
    let mutations = 0;
    const { mutate } = c.store;
    c.store.mutate = (...given) => {
      mutations += 1;
      return mutate(...given);
    };
    const join = { token: 'berth_join_x', publicKey: publicKey(), name: 'one' };
    const statuses: number[] = [];
    for (let n = 0; n < 100; n++) {
      statuses.push(await send('/hosts/enrol', join));
      statuses.push(await send('/tokens/exchange', { token: 'x' }));
    }
    expect(statuses.slice(0, 5)).toEqual([401, 401, 401, 401, 401]);
    expect(new Set(statuses.slice(5))).toEqual(new Set([429]));
    expect(mutations).toBeLessThanOrEqual(5);
  });

  test('of an address count whatever it asks for, and its whole /64 where it has IPv6', async () => {
    for (let n = 0; n < 200; n++) await get('/healthz', null, `2001:db8:1:2::${n}`);
    expect((await get('/healthz', null, '2001:db8:1:2:ffff::1')).status).toBe(429);
    expect((await get('/healthz', null, '2001:db8:1:3::1')).status).toBe(200);
  });

  test('are not got round with a header that no proxy wrote', async () => {
    await c.close();
    await start({ limits: { failures: 5 } });
    const statuses = [];
    for (let n = 0; n < 8; n++)
      statuses.push((await get(STATUS, 'berth_api_wrong', `203.0.113.${n}`)).status);
    expect(statuses).toEqual([401, 401, 401, 401, 401, 429, 429, 429]);
  });

  test('have the shape of every other answer, with its headers', async () => {
    for (let n = 0; n < 6; n++) await get(STATUS, 'berth_api_wrong');
    const answer = await fetch(`${c.url}${STATUS}`, { headers: { 'x-forwarded-for': '203.0.113.1' } });
    expect(answer.status).toBe(429);
    expect(answer.headers.get('x-content-type-options')).toBe('nosniff');
    expect(ApiError.parse(await answer.json()).error.message).toMatch(/Try again in \d+ s/);
  });
});

describe('a browser', () => {
  const origin = 'https://berth.example.com';
  async function post(from: string | null): Promise<Response> {
    return await fetch(`${c.url}${API_PREFIX}/hosts/join-tokens`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        authorization: `Bearer ${await c.token('admin')}`,
        ...(from === null ? {} : { origin: from }),
      },
      body: '{}',
    });
  }

  test('changes nothing from a page that is not listed, and none is listed by itself', async () => {
    expect((await post(null)).status).toBe(201);
    for (const from of [origin, 'null', c.url]) expect((await post(from)).status, from).toBe(403);
    expect((await get(STATUS, await c.token('viewer'), undefined, { origin })).status).toBe(200);
  });

  test('does from one that is listed, word for word', async () => {
    await c.close();
    await start({ origins: [origin] });
    expect((await post(origin)).status).toBe(201);
    for (const from of [
      'http://berth.example.com',
      'https://berth.example.com.evil.example',
      'https://berth.example.com:8443',
      'https://BERTH.example.com',
      `${origin}/`,
      `${origin}, https://evil.example`,
    ])
      expect((await post(from)).status, from).toBe(403);
    const answer = await post(origin);
    // It is never told that pages of others may read what is answered.
    expect(answer.headers.get('access-control-allow-origin')).toBeNull();
  });
});

describe('metrics', () => {
  test('are for viewers without a scope, unless the configuration opens them', async () => {
    expect((await get('/metrics', null)).status).toBe(401);
    const shop = { apps: ['shop'], pools: [], tenants: [] };
    const by = { actor: 'test', requestId: 'r' };
    const scoped = await c.services.access.create(by, { name: 'x', role: 'admin', scope: shop });
    expect((await get('/metrics', scoped.token)).status).toBe(403);
    const answer = await fetch(`${c.url}/metrics`, {
      headers: { authorization: `Bearer ${await c.token('viewer')}` },
    });
    expect(await answer.text()).toContain('berth_tenants');
    await c.close();
    await start({ metrics: 'open' });
    expect((await fetch(`${c.url}/metrics`)).status).toBe(200);
  });
});

test('a browser is told to stay with TLS only where a trusted proxy says that it came over it', async () => {
  const hsts = async (): Promise<string | null> =>
    (await fetch(`${c.url}/healthz`, { headers: { 'x-forwarded-proto': 'https' } })).headers.get(
      'strict-transport-security',
    );
  expect(await hsts()).toBe('max-age=31536000');
  await c.close();
  await start({});
  expect(await hsts()).toBeNull();
});
