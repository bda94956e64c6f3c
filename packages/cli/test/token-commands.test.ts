import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BerthError } from '@berth/shared/domain/errors';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { fakeApi } from './support/fake-api.ts';
import { run } from './support/run.ts';

const scope = { apps: ['shop'], pools: [], tenants: [] };
const info = { id: 't_1', name: 'ci', role: 'deployer', scope, createdAt: 0, lastUsedAt: null } as const;
const rule = {
  id: 'o_aaaaaaaaaaaa',
  issuer: 'https://token.actions.githubusercontent.com',
  audience: 'https://berth.example.com',
  repository: 'example/shop',
  ref: 'refs/heads/main',
  apps: ['shop'],
  ttlMs: 900_000,
  createdAt: 0,
  createdBy: 'x',
};
let fake: Awaited<ReturnType<typeof fakeApi>>;
let github: {
  url: string;
  asked: { url: string; authorization: string | undefined }[];
  close(): Promise<void>;
};
beforeEach(async () => {
  fake = await fakeApi({
    showApp: ({ params: { app = '' } }) => {
      if (app !== 'shop') throw new BerthError('not_found', `There is no app ${app}.`);
      return { app, release: 1, tenants: 0, frozen: null, current: 1, createdAt: 0, updatedAt: 0 };
    },
    createToken: () => ({ ...info, expiresAt: 86_400_000, token: 'berth_api_secret' }),
    listTokens: () => ({
      items: [
        { ...info, expiresAt: 86_400_000 },
        {
          ...info,
          id: 't_2',
          name: 'ops',
          role: 'admin',
          scope: { apps: [], pools: [], tenants: [] },
          expiresAt: null,
        },
      ],
    }),
    exchangeToken: () => ({
      token: 'berth_api_short',
      id: 'ci_1',
      name: 'example/shop run 7',
      apps: ['shop'],
      expiresAt: 900_000,
    }),
    addTrust: () => rule,
    listTrust: () => ({ items: [rule] }),
    removeTrust: () => ({ result: 'ok' }),
    status: () => ({
      version: '1',
      epoch: 1,
      mode: 'apply',
      modeReason: null,
      store: 'sqlite',
      startedAt: 0,
      apps: 1,
      hosts: { total: 0, online: 0 },
      tenants: { total: 3, settled: 3, moving: 0, failed: 0, blocked: 0, paused: 0 },
      lastEvent: 0,
    }),
  });
  const asked: { url: string; authorization: string | undefined }[] = [];
  const server = createServer((request, response) => {
    asked.push({ url: request.url ?? '', authorization: request.headers.authorization });
    response.end('{"value":"identity"}');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  github = {
    url: `http://127.0.0.1:${address.port}/token?api-version=2`,
    asked,
    close: () => new Promise((resolve) => server.close(() => resolve())),
  };
});
afterEach(async () => {
  await fake.close();
  await github.close();
});
const berth = (line: string, env: Record<string, string> = {}) => run(fake.url, line.split(' '), { env });
const job = (): Record<string, string> => ({
  ACTIONS_ID_TOKEN_REQUEST_URL: github.url,
  ACTIONS_ID_TOKEN_REQUEST_TOKEN: 'request-secret',
});

test('token create takes a name, a role, a scope and a time, and prints the token alone on stdout', async () => {
  const { code, out, err } = await berth('token create --role deployer --app shop --ttl 30d --name ci');
  expect({ code, out }).toEqual({ code: 0, out: 'berth_api_secret\n' });
  expect(err).toContain('app shop');
  expect(fake.askedOf('createToken')).toMatchObject([
    { body: { name: 'ci', role: 'deployer', scope, ttlMs: 30 * 86_400_000 } },
  ]);
});

test('token create warns of what its scope names and is not there, and makes the token all the same', async () => {
  const all = '--app shop --app nope --pool eu-9 --tenant nobody';
  const { code, out, err } = await berth(`token create --role viewer ${all} --name ci`);
  expect({ code, out }).toEqual({ code: 0, out: 'berth_api_secret\n' });
  for (const name of ['app nope', 'pool eu-9', 'tenant nobody'])
    expect(err).toContain(`warning: There is no ${name} yet`);
  expect(err).not.toContain('There is no app shop');
  expect((await berth('token create --role viewer --name ci')).err).not.toContain('warning');
});

test('token create refuses a deployer without apps, a bad scope, and two names or none, before it asks', async () => {
  for (const line of [
    'token create ci --role deployer',
    'token create ci --role deployer --app shop --pool eu-1',
    'token create ci --role viewer --app ../x',
    'token create ci --name ci --role viewer',
    'token create --role viewer',
  ])
    expect(await berth(line), line).toMatchObject({ code: 2 });
  expect(fake.calls).toEqual([]);
});

test('token list shows scope, last use and when they run out', async () => {
  const { out } = await berth('token list');
  expect(out).toMatch(/ID +NAME +ROLE +SCOPE +LAST USED +EXPIRES/);
  expect(out).toMatch(/t_1 +ci +deployer +app shop +never +1970-01-02/);
  expect(out).toMatch(/t_2 +ops +admin +everything +never +never/);
});

test('token exchange and login ask GitHub for the audience and hand over what it says', async () => {
  const { code, out } = await berth('token exchange --github-oidc', job());
  expect({ code, out }).toEqual({ code: 0, out: 'berth_api_short\n' });
  const dir = mkdtempSync(join(tmpdir(), 'berth-login-'));
  try {
    const config = join(dir, 'cli.json');
    const login = await berth(`login ${fake.url} --github-oidc --audience shop-ci`, {
      ...job(),
      BERTH_CONFIG: config,
    });
    expect(login).toMatchObject({ code: 0 });
    expect(JSON.parse(readFileSync(config, 'utf8'))).toEqual({ url: fake.url, token: 'berth_api_short' });
    expect(statSync(config).mode & 0o777).toBe(0o600);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
  expect(fake.askedOf('exchangeToken')).toMatchObject([
    { body: { token: 'identity' } },
    { body: { token: 'identity' } },
  ]);
  expect(github.asked).toEqual([
    {
      url: `/token?api-version=2&audience=${encodeURIComponent(fake.url)}`,
      authorization: 'Bearer request-secret',
    },
    { url: '/token?api-version=2&audience=shop-ci', authorization: 'Bearer request-secret' },
  ]);
});

test('an exchange that is turned away for now is tried again with a new identity token', async () => {
  await fake.close();
  let tries = 0;
  fake = await fakeApi({
    exchangeToken: () => {
      tries += 1;
      if (tries === 1) throw new BerthError('rate_limited', 'Too many.', { details: { retryAfterMs: 10 } });
      return { token: 'berth_api_short', id: 'ci_1', name: 'x', apps: ['shop'], expiresAt: 900_000 };
    },
  });
  expect(await berth('token exchange --github-oidc', job())).toMatchObject({
    code: 0,
    out: 'berth_api_short\n',
  });
  expect(github.asked).toHaveLength(2);
});

test('outside of a job of GitHub Actions it is said what is missing', async () => {
  const { code, err } = await berth('token exchange --github-oidc');
  expect(code).toBe(2);
  expect(err).toContain('id-token: write');
  const open = { ...job(), ACTIONS_ID_TOKEN_REQUEST_URL: 'http://example.com/' };
  expect(await berth('token exchange --github-oidc', open)).toMatchObject({ code: 2 });
});

test('oidc trust adds, lists and removes rules', async () => {
  const line =
    'oidc trust add --audience a --repository example/shop --ref refs/heads/main --environment production';
  expect((await berth(`${line} --app shop --ttl 15m`)).out).toContain(
    'jobs of example/shop at refs/heads/main may deploy shop',
  );
  expect(fake.askedOf('addTrust')).toMatchObject([
    { body: { issuer: rule.issuer, repository: 'example/shop', environment: 'production', ttlMs: 900_000 } },
  ]);
  expect((await berth('oidc trust list')).out).toMatch(
    /^id +o_aaaaaaaaaaaa\nrepository +example\/shop\nref +refs\/heads\/main\n/,
  );
  expect(await berth('oidc trust remove o_aaaaaaaaaaaa')).toMatchObject({ code: 2 });
  expect(await berth('oidc trust remove o_aaaaaaaaaaaa -y')).toMatchObject({ code: 0 });
  expect(await berth(line.replace('example/', '*/') + ' --app shop')).toMatchObject({ code: 2 });
});

test('a token is revoked by its id, and who gives a name is told where the ids are', async () => {
  const refused = await run(fake.url, ['token', 'revoke', 'Ci', '-y']);
  expect(refused).toMatchObject({
    code: 2,
    err: expect.stringContaining('The ids are in: berth token list'),
  });
  expect(fake.calls).toEqual([]);
});
