import { describe, expect, test } from 'vitest';
import type { RegistryConfig } from '../../src/registry/config.ts';
import { createCredentials, RENEW_BEFORE_MS, type EcrToken } from '../../src/registry/credentials.ts';
import { ecrTokenOf } from '../../src/registry/ecr-answer.ts';

const HOST = '123456789012.dkr.ecr.eu-west-1.amazonaws.com';
const HOUR = 3_600_000;
const never = new AbortController().signal;

/** Tokens of twelve hours, numbered; `answer` can be replaced to make asking fail. */
function world(registries: RegistryConfig[] = [{ kind: 'ecr', host: '*.dkr.ecr.*.amazonaws.com' }]) {
  const clock = { time: 0, now: () => clock.time };
  const asked: { region: string; endpoint: string | undefined }[] = [];
  const files = new Map<string, string>();
  const set = {
    answer: (): Promise<EcrToken> =>
      Promise.resolve({
        username: 'AWS',
        password: `token-${asked.length}`,
        expiresAt: clock.time + 12 * HOUR,
      }),
  };
  const credentials = createCredentials({
    registries,
    clock,
    readFile: (path) => {
      const text = files.get(path);
      return text === undefined ? Promise.reject(new Error('no such file')) : Promise.resolve(text);
    },
    fetchEcrToken: (of) => {
      asked.push(of);
      return set.answer();
    },
  });
  const password = async () => (await credentials.of(HOST, never))?.password;
  return { clock, asked, files, set, credentials, password };
}

describe('ECR tokens', () => {
  test('are kept, and renewed a quarter of an hour before their end', async () => {
    const { clock, asked, password } = world();
    expect(await password()).toBe('token-1');
    clock.time = 12 * HOUR - RENEW_BEFORE_MS - 1;
    expect(await password()).toBe('token-1');
    clock.time = 12 * HOUR - RENEW_BEFORE_MS;
    expect(await password()).toBe('token-2');
    expect(asked).toEqual([
      { region: 'eu-west-1', endpoint: undefined },
      { region: 'eu-west-1', endpoint: undefined },
    ]);
  });

  test('are asked for once by many at the same time', async () => {
    const { asked, password } = world();
    expect(new Set(await Promise.all([password(), password(), password()]))).toEqual(new Set(['token-1']));
    expect(asked).toHaveLength(1);
  });

  test('that cannot be renewed are used as long as they are good', async () => {
    const { clock, set, password } = world();
    await password();
    set.answer = () => Promise.reject(new Error('socket hang up'));
    clock.time = 12 * HOUR - 1;
    expect(await password()).toBe('token-1');
    clock.time = 12 * HOUR;
    await expect(password()).rejects.toMatchObject({ code: 'registry_unreachable' });
  });

  test('that were refused are asked for anew, but not those that somebody has renewed meanwhile', async () => {
    const { asked, credentials } = world();
    const first = await credentials.of(HOST, never);
    expect(credentials.refused(HOST, first)).toBe(true);
    const second = await credentials.of(HOST, never);
    expect(second?.password).toBe('token-2');
    expect(credentials.refused(HOST, first)).toBe(true);
    expect((await credentials.of(HOST, never))?.password).toBe('token-2');
    expect(asked).toHaveLength(2);
  });

  test('that the role may not have are told from an ECR that does not answer, without AWS’s secrets', async () => {
    const { set, password } = world();
    set.answer = () =>
      Promise.reject(Object.assign(new Error('not authorized'), { name: 'AccessDeniedException' }));
    await expect(password()).rejects.toMatchObject({
      code: 'image_pull_failed',
      message: expect.stringMatching(/eu-west-1.*ecr:GetAuthorizationToken/),
    });
    set.answer = () => Promise.reject(new Error('getaddrinfo ENOTFOUND'));
    await expect(password()).rejects.toMatchObject({ code: 'registry_unreachable' });
  });

  test('are not waited for longer than the caller wants, and serve the next one all the same', async () => {
    const { set, asked, credentials, password } = world();
    const later = Promise.withResolvers<EcrToken>();
    set.answer = () => later.promise;
    const stop = new AbortController();
    const waiting = credentials.of(HOST, stop.signal);
    stop.abort(new Error('enough'));
    await expect(waiting).rejects.toThrow('enough');
    const next = password();
    later.resolve({ username: 'AWS', password: 'late', expiresAt: HOUR });
    expect(await next).toBe('late');
    expect(asked).toHaveLength(1);
  });

  test('need a region, from the name or from the configuration', async () => {
    const { credentials } = world([{ kind: 'ecr', host: 'images.example.com' }]);
    await expect(credentials.of('images.example.com', never)).rejects.toThrow(/does not tell its AWS region/);
    const given = world([{ kind: 'ecr', host: 'images.example.com', region: 'eu-1', endpoint: 'https://e' }]);
    await given.credentials.of('images.example.com', never);
    expect(given.asked).toEqual([{ region: 'eu-1', endpoint: 'https://e' }]);
  });
});

describe('a password', () => {
  const registries: RegistryConfig[] = [
    { kind: 'password', host: 'r.example', username: 'ci', passwordFile: '/run/pw' },
  ];

  test('is read each time, without the newline at its end', async () => {
    const { files, credentials } = world(registries);
    files.set('/run/pw', 'one two\n');
    expect(await credentials.of('r.example', never)).toEqual({ username: 'ci', password: 'one two' });
    files.set('/run/pw', 'three');
    expect((await credentials.of('r.example', never))?.password).toBe('three');
    expect(credentials.refused('r.example', { username: 'ci', password: 'three' })).toBe(false);
    expect(await credentials.of('other.example', never)).toBeNull();
  });

  test('that cannot be read is said with its file', async () => {
    const { files, credentials } = world(registries);
    await expect(credentials.of('r.example', never)).rejects.toMatchObject({
      code: 'image_pull_failed',
      message: expect.stringContaining('/run/pw'),
    });
    files.set('/run/pw', '\n');
    await expect(credentials.of('r.example', never)).rejects.toThrow(/is empty/);
  });
});

describe('the answer of ECR', () => {
  const answer = (authorizationToken: string): unknown => ({
    authorizationData: [{ authorizationToken, expiresAt: new Date(5), proxyEndpoint: 'https://x' }],
  });

  test('holds user and password, which may contain a colon', () => {
    expect(ecrTokenOf(answer(Buffer.from('AWS:a:b').toString('base64')))).toEqual({
      username: 'AWS',
      password: 'a:b',
      expiresAt: 5,
    });
  });

  test.each([[{}], [{ authorizationData: [] }], [answer('')], [answer('c2VjcmV0')]])(
    'that holds none is said without quoting it',
    (given) => {
      expect(() => ecrTokenOf(given)).toThrow(/authorization token/);
      expect(() => ecrTokenOf(given)).not.toThrow(/c2VjcmV0|secret/);
    },
  );
});
