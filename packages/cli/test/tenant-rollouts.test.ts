import type { App } from '@berth/shared/api/schemas';
import type { TenantHistoryShown } from '@berth/shared/api/rollouts';
import { afterEach, expect, test } from 'vitest';
import { fakeApi, type Answers } from './support/fake-api.ts';
import { tenantEvent, tenantView } from './support/fake-coordinator.ts';
import { run } from './support/run.ts';

let fake: Awaited<ReturnType<typeof fakeApi>>;
afterEach(async () => {
  await fake.close();
});
const serve = async (answers: Answers): Promise<void> => {
  fake = await fakeApi(answers);
};
const berth = (line: string, more: readonly string[] = []) => run(fake.url, [...line.split(' '), ...more]);
const settings = (): unknown[] => fake.askedOf('setTenant').map((asked) => asked.body);

test('a tenant is pinned with a reason and unpinned without one', async () => {
  await serve({ setTenant: () => tenantView({ release: 3 }) });
  expect((await berth('tenant pin acme --reason', ['audit until friday'])).out).toBe(
    'acme is pinned to release 3: audit until friday\n',
  );
  expect((await berth('tenant unpin acme')).code).toBe(0);
  expect(settings()).toEqual([{ pinned: 'audit until friday' }, { pinned: null }]);
  expect((await berth('tenant pin acme')).code).toBe(2);
  expect((await berth('tenant pin acme --reason', [' '])).code).toBe(2);
  expect(settings()).toHaveLength(2);
});

test('tags are added and removed by name', async () => {
  await serve({ setTenant: () => tenantView({ tags: ['canary', 'tier=free'] }) });
  expect((await berth('tenant tag acme canary tier=free --remove old --remove tier=pro')).out).toBe(
    'acme: canary tier=free\n',
  );
  expect(settings()).toEqual([{ addTags: ['canary', 'tier=free'], removeTags: ['old', 'tier=pro'] }]);
  for (const wrong of ['tenant tag acme', 'tenant tag acme Canary', 'tenant tag acme --remove 10'])
    expect((await berth(wrong)).code).toBe(2);
  expect(settings()).toHaveLength(1);
  expect(JSON.parse((await berth('tenant tag acme vip --json')).out)).toMatchObject({ tenant: 'acme' });
});

test("a window is checked in the parser's words, set, and taken away", async () => {
  let window: string | null = 'Mon-Fri 22:00-04:00 Europe/Berlin';
  await serve({ setTenant: () => tenantView({ window }) });
  // A Friday, 20:00 in Berlin.
  const now = () => Date.parse('2026-11-20T19:00:00Z');
  const set = await run(fake.url, ['tenant', 'window', 'acme', window], { now });
  expect(set.out).toBe('acme may be moved Mon-Fri 22:00-04:00 Europe/Berlin (opens in 2 h)\n');
  window = null;
  expect((await berth('tenant window acme --none')).out).toBe('acme may be moved at any time\n');
  expect(settings()).toEqual([{ window: 'Mon-Fri 22:00-04:00 Europe/Berlin' }, { window: null }]);
  const wrong = await berth('tenant window acme', ['Mon-Fri 22:00-04:00 Berlin/Mitte']);
  expect(wrong.code).toBe(2);
  expect(wrong.err).toContain('error: "Berlin/Mitte" is no time zone that is known here.');
  expect((await berth('tenant window acme')).code).toBe(2);
  expect((await berth('tenant window acme --none', ['daily 01:00-02:00 UTC'])).code).toBe(2);
  expect(settings()).toHaveLength(2);
});

const entry = (release: number, change: Partial<TenantHistoryShown> = {}): TenantHistoryShown => ({
  at: 1000,
  by: 'token:t_1 ada',
  what: 'moved',
  release,
  generation: release,
  rollout: 7,
  ms: 2000,
  message: '',
  hold: null,
  ...change,
});

test('a tenant alone goes back: from where to where, a question, and the steps', async () => {
  await serve({
    showTenant: () => tenantView({ release: 13, live: 2 }),
    tenantHistory: () => ({ items: [entry(13), entry(12), entry(11)] }),
    rollbackTenant: () => ({
      tenant: 'acme',
      generation: 2,
      host: 'h_0123456789abcdef',
      afterEvent: 5,
      result: 'changed',
    }),
  });
  const asked = await berth('tenant rollback acme');
  expect(asked.code).toBe(2);
  expect(asked.out).toContain('acme: release 13 → release 12;');
  expect(fake.askedOf('rollbackTenant')).toEqual([]);
  fake.emit(tenantEvent('tenant.live', 'Generation 2 serves.'));
  const done = await berth('tenant rollback acme -y --past-irreversible --reason slow');
  expect(done.code).toBe(0);
  expect(done.out).toContain('✓ acme is live, generation 2');
  expect(fake.askedOf('rollbackTenant')[0]?.body).toEqual({ reason: 'slow', pastIrreversible: true });
});

test('a tenant that went back goes further back, not forth to what it came back from', async () => {
  const items = [entry(12, { what: 'rolled-back' }), entry(13), entry(12), entry(11)];
  await serve({ showTenant: () => tenantView({ release: 12 }), tenantHistory: () => ({ items }) });
  expect((await berth('tenant rollback acme')).out).toContain('acme: release 12 → release 11;');
});

test('history of a tenant says who, when, what and how long', async () => {
  const items = [entry(12, { what: 'rolled-back', rollout: null, message: '5xx' }), entry(13)];
  await serve({ tenantHistory: () => ({ items }) });
  const { out } = await berth('tenant history acme --limit 2');
  expect(out.split('\n').slice(0, 2)).toEqual([
    'WHEN                 WHO  WHAT         RELEASE  GEN  ROLLOUT  TOOK   MESSAGE',
    '1970-01-01 00:00:01  ada  rolled back  12       12            2.0 s  5xx',
  ]);
  expect(fake.askedOf('tenantHistory')[0]?.query).toEqual({ limit: '2' });
  expect(JSON.parse((await berth('tenant history acme --json')).out)).toEqual({ items });
});

test('history of a tenant calls a way back returning while it is, and says that its host is offline', async () => {
  const away = entry(12, { what: 'returning', hold: 'offline', ms: null });
  await serve({ tenantHistory: () => ({ items: [away, entry(12, { what: 'returning' })] }) });
  const { out } = await berth('tenant history acme');
  expect(out).toContain('  returning (host offline)  12 ');
  expect(out).toMatch(/ {2}returning +12 /);
});

test('a word on a release command of unknown outcome is one of two', async () => {
  await serve({
    showTenant: () => tenantView(),
    decideRelease: () => ({
      tenant: 'acme',
      generation: 2,
      host: 'h_0123456789abcdef',
      afterEvent: 5,
      result: 'changed',
    }),
  });
  for (const wrong of ['', ' --succeeded --run-again'])
    expect((await berth(`tenant release-outcome acme${wrong}`)).code).toBe(2);
  expect(fake.calls).toEqual([]);
  fake.emit(tenantEvent('tenant.live', 'Generation 2 serves.'));
  expect((await berth('tenant release-outcome acme --succeeded')).code).toBe(0);
  expect((await berth('tenant release-outcome acme --run-again --no-wait')).code).toBe(0);
  expect(fake.askedOf('decideRelease').map((asked) => asked.body)).toEqual([
    { choice: 'succeeded' },
    { choice: 'run-again' },
  ]);
});

test('a tenant is made with tags', async () => {
  await serve({
    createTenant: () => ({
      tenant: 'acme',
      generation: 1,
      host: 'h_0123456789abcdef',
      afterEvent: 5,
      result: 'changed',
    }),
    showTenant: () => tenantView(),
  });
  const line = 'tenant create acme --app shop --domain a.example.com --no-wait';
  expect((await berth(`${line} --tag canary --tag tier=free`)).code).toBe(0);
  expect(fake.askedOf('createTenant')[0]?.body).toMatchObject({ tags: ['canary', 'tier=free'] });
  expect((await berth(`${line} --tag all`)).code).toBe(2);
});

test('show and list name tags, pin and window only where there are some', async () => {
  const plain = tenantView({ tenant: 'globex' });
  const marked = tenantView({ tags: ['canary'], pinned: 'audit', window: 'daily 00:00-24:00 UTC' });
  let shown = marked;
  await serve({ showTenant: () => shown, listTenants: () => ({ items: [shown, plain], next: null }) });
  const show = (await berth('tenant show acme')).out;
  expect(show).toMatch(/^tags +canary$/m);
  expect(show).toMatch(/^pinned +audit$/m);
  expect(show).toMatch(/^window +daily 00:00-24:00 UTC \(open now\)$/m);
  const list = (await berth('tenant list')).out;
  expect(list).toMatch(/^TENANT +APP +GEN +STATE +HOST +TAGS\n {2}URL$/m);
  expect(list).toMatch(/^acme +shop:1 \(pinned\) .* canary\n {2}http/m);
  shown = plain;
  expect((await berth('tenant list')).out).not.toContain('TAGS');
  expect((await berth('tenant show globex')).out).not.toMatch(/^(tags|pinned|window) /m);
});

test('an app is frozen with a reason, shown so, and let go again', async () => {
  const app: App = {
    app: 'shop',
    release: 13,
    tenants: 2,
    frozen: 'black friday',
    current: 12,
    createdAt: 1,
    updatedAt: 1,
  };
  await serve({
    freezeApp: () => app,
    unfreezeApp: () => ({ ...app, frozen: null }),
    listApps: () => ({ items: [app], next: null }),
    showApp: () => app,
    listReleases: () => ({ items: [], next: null }),
  });
  const frozen = await berth('app freeze shop --reason', ['black friday']);
  expect(frozen.out).toContain('shop is frozen: black friday\n');
  expect(fake.askedOf('freezeApp')[0]?.body).toEqual({ reason: 'black friday' });
  expect((await berth('app freeze shop')).code).toBe(2);
  expect((await berth('app list')).out).toMatch(/^shop +13 +12 +2 +frozen: black friday /m);
  expect((await berth('app show shop')).out).toMatch(/^rollouts +frozen: black friday$/m);
  expect((await berth('app unfreeze shop')).out).toBe('shop is not frozen; rollouts go on\n');
  expect(JSON.parse((await berth('app unfreeze shop --json')).out)).toMatchObject({ frozen: null });
});
