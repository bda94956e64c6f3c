import { afterEach, describe, expect, test } from 'vitest';
import { basic, clientFor, serve, type Answers, type FakeServer } from './fake-registry.ts';

const DIGEST = `sha256:${'cd'.repeat(32)}`;
const never = new AbortController().signal;
const open: FakeServer[] = [];
afterEach(async () => {
  for (const server of open.splice(0)) await server.close();
});
async function served(answers: Answers): Promise<FakeServer> {
  const server = await serve(answers);
  open.push(server);
  return server;
}
const ok = (response: Parameters<Answers>[1]): void =>
  void response.writeHead(200, { 'docker-content-digest': DIGEST }).end();

/** A registry that wants one of these authorizations, and says so with this challenge. */
async function guarded(challenge: () => string, good: () => string[]): Promise<FakeServer> {
  return await served(({ authorization }, response) => {
    if (authorization !== null && good().includes(authorization)) ok(response);
    else response.writeHead(401, { 'www-authenticate': challenge() }).end();
  });
}

describe('Basic', () => {
  test('shows the password of the file, also a changed one, and only when it is asked for', async () => {
    const good = [basic('ci', 'one')];
    const server = await guarded(
      () => 'Basic realm="x"',
      () => good,
    );
    const { registry, passwords } = clientFor([
      { kind: 'password', host: server.host, username: 'ci', passwordFile: '/p' },
    ]);
    passwords.set('/p', 'one\n');
    expect((await registry.resolve(`${server.host}/shop:1`, never)).digest).toBe(DIGEST);
    expect(server.asked.map(({ authorization }) => authorization)).toEqual([null, basic('ci', 'one')]);
    good[0] = basic('ci', 'two');
    await expect(registry.resolve(`${server.host}/shop:1`, never)).rejects.toMatchObject({
      code: 'image_pull_failed',
      message: expect.stringContaining(
        `The registry ${server.host} did not accept the configured credentials`,
      ),
    });
    passwords.set('/p', 'two');
    expect((await registry.resolve(`${server.host}/shop:1`, never)).digest).toBe(DIGEST);
  });

  test('without credentials is an error that says where to give them', async () => {
    const server = await guarded(
      () => 'Basic realm="x"',
      () => [],
    );
    await expect(clientFor().registry.resolve(`${server.host}/shop:1`, never)).rejects.toMatchObject({
      code: 'image_pull_failed',
      message: expect.stringMatching(/without credentials.*"registries"/),
    });
    expect(server.asked).toHaveLength(1);
  });

  test('with an ECR token that was withdrawn asks for another, once', async () => {
    let good = [basic('AWS', 'ecr-1')];
    const server = await guarded(
      () => 'Basic realm="ecr"',
      () => good,
    );
    const { registry } = clientFor([{ kind: 'ecr', host: server.host, region: 'eu-1' }]);
    await registry.resolve(`${server.host}/shop:1`, never);
    good = [basic('AWS', 'ecr-2')];
    expect((await registry.resolve(`${server.host}/shop:1`, never)).digest).toBe(DIGEST);
    good = [];
    const before = server.asked.length;
    await expect(registry.resolve(`${server.host}/shop:1`, never)).rejects.toMatchObject({
      code: 'image_pull_failed',
    });
    expect(server.asked.slice(before).map(({ authorization }) => authorization)).toEqual([
      null,
      basic('AWS', 'ecr-2'),
      basic('AWS', 'ecr-3'),
    ]);
  });

  test('is not told to a host that the registry sends us to', async () => {
    const other = await served((_asked, response) => {
      response.writeHead(401, { 'www-authenticate': 'Basic realm="other"' }).end();
    });
    const server = await served(({ authorization }, response) => {
      if (authorization === null) response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end();
      else response.writeHead(307, { location: `${other.url}/elsewhere` }).end();
    });
    const { registry, passwords } = clientFor([
      { kind: 'password', host: server.host, username: 'ci', passwordFile: '/p' },
    ]);
    passwords.set('/p', 'one');
    await expect(registry.resolve(`${server.host}/shop:1`, never)).rejects.toMatchObject({
      code: 'image_pull_failed',
    });
    expect(other.asked.map(({ authorization }) => authorization)).toEqual([null]);
  });
});

describe('Bearer', () => {
  /** Tokens of ten minutes, numbered; `withdrawn` ends those given so far. */
  async function tokenServer(accepts: (authorization: string | null) => boolean) {
    let given = 0;
    let from = 1;
    const server = await served(({ authorization }, response) => {
      if (!accepts(authorization)) {
        response.writeHead(401).end();
        return;
      }
      given += 1;
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ token: `t${given}`, expires_in: 600 }));
    });
    const good = (): string[] =>
      Array.from({ length: given - from + 1 }, (_, n) => `Bearer t${from + n}`).filter(() => given >= from);
    return { server, good, withdraw: () => (from = given + 1) };
  }
  const challengeOf = (realm: string) => () =>
    `Bearer realm="${realm}/token",service="reg",scope="repository:shop:pull"`;

  test('asks the token server, anonymously when nothing is configured, and keeps the token', async () => {
    const tokens = await tokenServer((authorization) => authorization === null);
    const server = await guarded(challengeOf(tokens.server.url), tokens.good);
    const { registry, clock } = clientFor();
    await registry.resolve(`${server.host}/shop:1`, never);
    await registry.resolve(`${server.host}/shop:2`, never);
    expect(Object.fromEntries(tokens.server.asked[0]?.query ?? [])).toEqual({
      service: 'reg',
      scope: 'repository:shop:pull',
    });
    expect(server.asked.map(({ authorization }) => authorization)).toEqual([null, 'Bearer t1', 'Bearer t1']);
    // Renewed before its end: 600 s without the last half minute.
    clock.time += 569_999;
    await registry.resolve(`${server.host}/shop:1`, never);
    expect(tokens.server.asked).toHaveLength(1);
    clock.time += 1;
    await registry.resolve(`${server.host}/shop:1`, never);
    expect(tokens.server.asked).toHaveLength(2);
    expect(server.asked.at(-1)?.authorization).toBe('Bearer t2');
  });

  test('renews a token that the registry no longer takes', async () => {
    const tokens = await tokenServer(() => true);
    const server = await guarded(challengeOf(tokens.server.url), tokens.good);
    const { registry } = clientFor();
    await registry.resolve(`${server.host}/shop:1`, never);
    tokens.withdraw();
    expect((await registry.resolve(`${server.host}/shop:1`, never)).digest).toBe(DIGEST);
    expect(server.asked.map(({ authorization }) => authorization)).toEqual([
      null,
      'Bearer t1',
      'Bearer t1',
      'Bearer t2',
    ]);
  });

  test('gives the token server the credentials of the registry, and the registry only the token', async () => {
    const tokens = await tokenServer((authorization) => authorization === basic('ci', 'pw'));
    const server = await guarded(challengeOf(tokens.server.url), tokens.good);
    const { registry, passwords } = clientFor([
      { kind: 'password', host: server.host, username: 'ci', passwordFile: '/p' },
    ]);
    passwords.set('/p', 'pw');
    expect((await registry.resolve(`${server.host}/shop:1`, never)).digest).toBe(DIGEST);
    expect(tokens.server.asked[0]?.query.get('account')).toBe('ci');
    expect(server.asked.map(({ authorization }) => authorization)).toEqual([null, 'Bearer t1']);
    passwords.set('/p', 'wrong');
    await expect(registry.resolve(`${server.host}/shop:1`, never)).rejects.toMatchObject({
      code: 'image_pull_failed',
      message: expect.stringMatching(/did not accept the credentials of ci/),
    });
  });

  test('asks for one token when many images of a repository are resolved at once', async () => {
    const tokens = await tokenServer(() => true);
    const server = await guarded(challengeOf(tokens.server.url), tokens.good);
    const { registry } = clientFor();
    await Promise.all([1, 2, 3, 4].map((n) => registry.resolve(`${server.host}/shop:${n}`, never)));
    expect(tokens.server.asked).toHaveLength(1);
  });

  test('never takes credentials along to where the token server sends us', async () => {
    const thief = await served((_asked, response) => void response.writeHead(200).end('{"token":"x"}'));
    const tokens = await served(
      (_asked, response) => void response.writeHead(307, { location: `${thief.url}/token` }).end(),
    );
    const server = await guarded(challengeOf(tokens.url), () => ['Bearer x']);
    const { registry, passwords } = clientFor([
      { kind: 'password', host: server.host, username: 'ci', passwordFile: '/p' },
    ]);
    passwords.set('/p', 'pw');
    await expect(registry.resolve(`${server.host}/shop:1`, never)).rejects.toMatchObject({
      code: 'registry_unreachable',
      message: expect.stringContaining('not followed with credentials'),
    });
    expect(thief.asked).toEqual([]);
  });

  test.each([
    ['{}', /without a token/],
    ['<html>', /without a token/],
    ['{"token":""}', /without a token/],
  ])('with the answer %s is an error that does not quote it', async (body, message) => {
    const tokens = await served((_asked, response) => void response.writeHead(200).end(body));
    const server = await guarded(challengeOf(tokens.url), () => []);
    await expect(clientFor().registry.resolve(`${server.host}/shop:1`, never)).rejects.toThrow(message);
  });

  test('takes access_token for token, and a minute when no time is told', async () => {
    const tokens = await served(
      (_asked, response) => void response.writeHead(200).end('{"access_token":"x"}'),
    );
    const server = await guarded(challengeOf(tokens.url), () => ['Bearer x']);
    const { registry, clock } = clientFor();
    await registry.resolve(`${server.host}/shop:1`, never);
    clock.time += 53_999;
    await registry.resolve(`${server.host}/shop:1`, never);
    expect(tokens.asked).toHaveLength(1);
    clock.time += 1;
    await registry.resolve(`${server.host}/shop:1`, never);
    expect(tokens.asked).toHaveLength(2);
  });
});
