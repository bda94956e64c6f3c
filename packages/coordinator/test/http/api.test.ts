import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createClient } from '@berth/shared/api/client';
import { API_PREFIX, routes } from '@berth/shared/api/routes';
import type { RouteDefinition } from '@berth/shared/api/route';
import { ApiError } from '@berth/shared/api/schemas';
import { COMPOSE, publicKey, testCoordinator, type TestCoordinator } from '../support/coordinator.ts';
import { hostId } from '../support/samples.ts';

let c: TestCoordinator;
beforeEach(async () => {
  c = await testCoordinator();
});
afterEach(async () => {
  await c.close();
});

/** A request to a route with parameters that fit it. */
async function send(
  route: RouteDefinition,
  token: string | null,
  body: string | null = '{}',
): Promise<Response> {
  const samples: Record<string, string> = {
    app: 'shop',
    tenant: 'acme',
    host: hostId(1),
    pool: 'default',
    release: '1',
    rollout: '1',
    id: 't_x',
  };
  const path = route.path.replace(/\{(\w+)\}/g, (_all, name: string) => samples[name] ?? name);
  const headers: Record<string, string> = { 'content-type': 'application/json' };
  if (token !== null) headers['authorization'] = `Bearer ${token}`;
  return await fetch(`${c.url}${API_PREFIX}${path}`, {
    method: route.method,
    headers,
    ...(route.method === 'GET' ? {} : { body }),
  });
}
const errorOf = async (response: Response) => ApiError.parse(await response.json()).error;

test('the audit still names a token that is revoked', async () => {
  const client = await c.client();
  const made = await client.createToken({ body: { name: 'ci of shop', role: 'operator' } });
  const ci = createClient({ url: c.url, token: made.token });
  await ci.applyApp({ params: { app: 'shop' }, body: { compose: COMPOSE } });
  await client.revokeToken({ params: { id: made.id } });
  const { items } = await client.listAudit({ query: {} });
  expect(items.find(({ action }) => action === 'app.created')?.actor).toBe(`token:${made.id} ci of shop`);
});

describe('every route', () => {
  test('that is not public refuses a caller without a token, and one whose role does not reach', async () => {
    const tokens = {
      viewer: await c.token('viewer'),
      deployer: await c.token('deployer'),
      operator: await c.token('operator'),
    };
    for (const [name, route] of Object.entries(routes)) {
      const without = await send(route, null);
      if (route.access === 'public') {
        expect(without.status, name).not.toBe(401);
        continue;
      }
      expect(without.status, name).toBe(401);
      expect((await errorOf(without)).code, name).toBe('unauthenticated');
      expect((await send(route, 'berth_api_nonsense')).status, name).toBe(401);
      const below = {
        admin: tokens.operator,
        operator: tokens.deployer,
        deployer: tokens.viewer,
        viewer: null,
      }[route.access];
      if (below === null) continue;
      const refused = await send(route, below);
      expect(refused.status, name).toBe(403);
      expect(await errorOf(refused), name).toMatchObject({
        code: 'forbidden',
        details: { needed: route.access },
      });
    }
  });

  test('lets the role in that it asks for', async () => {
    for (const [name, route] of Object.entries(routes)) {
      if (route.access === 'public') continue;
      const answer = await send(route, await c.token(route.access));
      expect([401, 403], name).not.toContain(answer.status);
      // Some need a part that is not set up here, and say so (502, 503); none breaks inside.
      expect(answer.status, name).not.toBe(500);
    }
  });

  test('with a body refuses what is not JSON, not the schema, too large, or of another type', async () => {
    const token = await c.token('admin');
    for (const [name, route] of Object.entries(routes)) {
      if (!('body' in route)) continue;
      const broken = await errorOf(await send(route, token, '{"a":'));
      expect(broken.code, name).toBe('invalid_request');
      expect(broken.message, name).toMatch(/^The body is not JSON: /);
      const unknown = await errorOf(await send(route, token, '{"surprise":1}'));
      expect(unknown.message, name).toContain('surprise');
      const large = await send(route, token, `{"a":"${'x'.repeat(1024 * 1024)}"}`);
      expect(large.status, name).toBe(413);
      const most = route.access === 'public' ? '64 KiB' : '1 MiB';
      expect((await errorOf(large)).message, name).toContain(`larger than ${most}`);
    }
    const answer = await fetch(`${c.url}${API_PREFIX}/tokens`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'text/plain' },
      body: '{}',
    });
    expect((await errorOf(answer)).message).toContain('content-type: application/json');
  });
});

describe('bad input', () => {
  test('is refused with the field and what it should be', async () => {
    const client = await c.client();
    const cases: [() => Promise<unknown>, RegExp][] = [
      [() => client.showTenant({ params: { tenant: 'a;rm -rf' } }), /tenant: a tenant name must be/],
      [() => client.listTenants({ query: { limit: 0 } }), /The query is not right\. limit: /],
      [() => client.showRelease({ params: { app: 'shop', release: 'x' } }), /release: /],
      [
        () => client.createTenant({ body: { tenant: 'acme', app: 'shop', domains: ['"; drop'] } }),
        /domains\.0: a domain must be a lower-case host name/,
      ],
      [
        () =>
          client.createTenant({
            body: { tenant: 'acme', app: 'shop', domains: ['a.example.com'], variables: { 'a b': 'x' } },
          }),
        /variables.*a variable name must be/,
      ],
      [() => client.createJoinToken({ body: { ttlMs: 5 } }), /ttlMs: /],
    ];
    for (const [call, message] of cases) {
      await expect(call()).rejects.toMatchObject({ code: 'invalid_request' });
      await expect(call()).rejects.toThrow(message);
    }
  });

  test('in a Compose file is refused with its lines', async () => {
    const client = await c.client();
    const compose = COMPOSE.replace('    image:', '    privileged: true\n    image:');
    const call = client.applyApp({ params: { app: 'shop' }, body: { compose } });
    await expect(call).rejects.toMatchObject({ code: 'invalid_compose' });
    await expect(call).rejects.toThrow(/compose\.yaml:5:\d+ services\.web\.privileged/);
    await expect(client.showApp({ params: { app: 'shop' } })).rejects.toMatchObject({ code: 'not_found' });
  });

  test('at an address that does not exist is a 404 of the same shape', async () => {
    for (const path of ['/', '/api/v1/nothing', '/api/v2/status', '/api/v1/tenants/%2e%2e/x/y']) {
      const answer = await fetch(`${c.url}${path}`);
      expect(answer.status, path).toBe(404);
      expect((await errorOf(answer)).code).toBe('not_found');
    }
  });
});

describe('the API', () => {
  test('takes an operator through the life of a tenant by the typed client', async () => {
    const client = await c.client();
    const applied = await client.applyApp({ params: { app: 'shop' }, body: { compose: COMPOSE } });
    expect(applied).toMatchObject({ app: 'shop', release: 1, result: 'created' });
    const again = await client.applyApp({ params: { app: 'shop' }, body: { compose: COMPOSE } });
    expect(again).toMatchObject({ release: 1, result: 'unchanged' });
    const host = await c.host();
    const created = await client.createTenant({
      body: { tenant: 'acme', app: 'shop', domains: ['acme.example.com'], variables: { GREETING: 'hi' } },
    });
    expect(created).toMatchObject({ generation: 1, host });
    const plan = await client.planTenant({
      params: { tenant: 'acme' },
      body: { variables: { GREETING: 'ho' } },
    });
    expect(plan.changes).toEqual([{ path: 'services.web.environment.GREETING', before: 'hi', after: 'ho' }]);
    const params = { tenant: 'acme' };
    expect(await client.changeTenant({ params, body: { variables: { GREETING: 'ho' } } })).toMatchObject({
      generation: 2,
    });
    expect(await client.pauseTenant({ params })).toMatchObject({ result: 'changed' });
    expect(await client.resumeTenant({ params })).toMatchObject({ result: 'changed' });
    expect(await client.restartTenant({ params })).toMatchObject({ generation: 3 });
    expect(await client.explainTenant({ params })).toMatchObject({ phase: 'waiting', generation: 3 });
    expect((await client.tenantConfig({ params })).values.length).toBeGreaterThan(4);
    expect(await client.showTenant({ params })).toMatchObject({ hostName: 'one', state: 'running' });
    expect((await client.listTenants({ query: { host } })).items).toHaveLength(1);
    await expect(client.deleteApp({ params: { app: 'shop' } })).rejects.toThrow(/still has a tenant/);
    await expect(client.removeHost({ params: { host } })).rejects.toThrow(/still carries a tenant/);
    expect(await client.deleteTenant({ params })).toMatchObject({ generation: 3, result: 'changed' });
    await c.store.fleet.finishRemoval(host, 'acme', 3, 5);
    expect(await client.deleteApp({ params: { app: 'shop' } })).toEqual({ result: 'ok' });
    expect(await client.removeHost({ params: { host } })).toEqual({ result: 'ok' });
    const audit = await client.listAudit({ query: {} });
    expect(audit.items.map((row) => row.id)).toEqual(audit.items.map((_, n) => audit.items.length - n));
    expect(await client.status()).toMatchObject({ apps: 0, hosts: { total: 0 }, tenants: { total: 0 } });
  });

  test('shows a release’s env files by size only', async () => {
    const client = await c.client();
    const compose = COMPOSE.replace('    environment:', '    env_file: app.env\n    environment:');
    await client.applyApp({
      params: { app: 'shop' },
      body: { compose, envFiles: { 'app.env': 'PASSWORD=secret\n' } },
    });
    const shown = await client.showRelease({ params: { app: 'shop', release: 1 } });
    expect(shown.envFiles).toEqual({ 'app.env': '16 bytes' });
    expect((await client.listReleases({ params: { app: 'shop' }, query: {} })).items).toMatchObject([
      { release: 1 },
    ]);
  });

  test('enrols an agent by a join token and nothing else', async () => {
    const client = await c.client();
    const { token } = await client.createJoinToken({ body: {} });
    const nobody = createClient({ url: c.url });
    const enrolled = await nobody.enrolHost({ body: { token, publicKey: publicKey(), name: 'one' } });
    expect(await client.showHost({ params: { host: enrolled.host } })).toMatchObject({
      connection: 'never-seen',
    });
    await expect(
      nobody.enrolHost({ body: { token, publicKey: publicKey(), name: 'two' } }),
    ).rejects.toMatchObject({ code: 'unauthenticated' });
    await expect(nobody.listHosts({ query: {} })).rejects.toMatchObject({ code: 'unauthenticated' });
  });

  test('pages through lists', async () => {
    const client = await c.client();
    for (const app of ['a', 'b', 'c'])
      await client.applyApp({
        params: { app },
        body: { compose: COMPOSE.replace('name: shop', `name: ${app}`) },
      });
    const first = await client.listApps({ query: { limit: 2 } });
    expect(first.items.map((app) => app.app)).toEqual(['a', 'b']);
    expect(first.next).toBe('b');
    const rest = await client.listApps({ query: { limit: 2, after: first.next ?? '' } });
    expect(rest).toMatchObject({ items: [{ app: 'c' }], next: null });
  });

  test('answers with security headers, an id for each request, and takes over a good one', async () => {
    const answer = await fetch(`${c.url}/healthz`, { headers: { 'x-request-id': 'from-a-proxy' } });
    expect(answer.headers.get('x-request-id')).toBe('from-a-proxy');
    expect(answer.headers.get('x-content-type-options')).toBe('nosniff');
    expect(answer.headers.get('cache-control')).toBe('no-store');
    expect(answer.headers.get('content-security-policy')).toContain("default-src 'none'");
    const bad = await fetch(`${c.url}/nothing`, { headers: { 'x-request-id': 'bad id"' } });
    expect((await errorOf(bad)).requestId).toMatch(/^request-\d+$/);
    expect(bad.headers.get('x-request-id')).toMatch(/^request-\d+$/);
  });

  test('logs requests by route without tokens or bodies', async () => {
    const admin = await c.token('admin');
    const made = await fetch(`${c.url}${API_PREFIX}/tokens`, {
      method: 'POST',
      headers: { authorization: `Bearer ${admin}`, 'content-type': 'application/json' },
      body: JSON.stringify({ name: 'very-private', role: 'viewer' }),
    });
    expect(made.status).toBe(201);
    const text = JSON.stringify(c.logged);
    expect(text).toContain('"route":"/api/v1/tokens"');
    for (const secret of [admin, 'very-private', 'Bearer']) expect(text).not.toContain(secret);
  });

  test('tells what went wrong inside only to its log', async () => {
    const client = await c.client();
    c.store.apps = () => Promise.reject(new Error('the cat sat on the disk'));
    const call = client.listApps({ query: {} });
    await expect(call).rejects.toMatchObject({ code: 'internal' });
    await expect(call).rejects.not.toThrow(/cat/);
    expect(c.logged.some((line) => 'err' in line && String(line.err).includes('cat'))).toBe(true);
  });

  test('is ready while the store can be written, and says when it is not or when it stops', async () => {
    const ready = async () => (await fetch(`${c.url}/readyz`)).status;
    expect(await ready()).toBe(200);
    const probe = c.store.probe;
    c.store.probe = () => Promise.reject(new Error('read-only'));
    expect(await ready()).toBe(503);
    c.store.probe = probe;
    c.stop.abort();
    expect(await ready()).toBe(503);
    expect((await fetch(`${c.url}/healthz`)).status).toBe(200);
  });

  test('counts requests by route template, so that names of tenants make no series', async () => {
    const client = await c.client();
    for (let n = 0; n < 20; n++)
      await client.showTenant({ params: { tenant: `t-${n}` } }).catch(() => undefined);
    const text = await (await fetch(`${c.url}/metrics`)).text();
    expect(text).toContain(
      'berth_http_requests_total{method="GET",route="/api/v1/tenants/{tenant}",status="404"} 20',
    );
    expect(text).not.toContain('t-7');
    for (const name of [
      'berth_agents_online',
      'berth_desired_lag_revisions',
      'nodejs_eventloop_lag_p99_seconds',
    ])
      expect(text).toContain(`\n${name} `);
  });
});
