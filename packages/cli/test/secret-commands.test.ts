import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { BerthError } from '@berth/shared/domain/errors';
import { withoutLineEnd } from '../src/read-secret.ts';
import { fakeApi } from './support/fake-api.ts';
import { run } from './support/run.ts';

let dir = '';
let fake: Awaited<ReturnType<typeof fakeApi>>;
const shown = {
  name: 'KEY',
  version: 2,
  state: 'pending' as const,
  from: null,
  services: ['web'],
  versions: [{ version: 2, createdAt: 1_000, createdBy: 'token:t_1 ann', from: null }],
};

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'berth-cli-secret-'));
  fake = await fakeApi({
    setSecrets: ({ body }) => ({
      tenant: 'acme',
      secrets: Object.keys((body as { secrets: object }).secrets).map((name) => ({ name, version: 2 })),
    }),
    listSecrets: () => ({ items: [shown] }),
    removeSecret: () => ({ result: 'ok', versions: 2 }),
    secretKeys: () => ({
      current: 'local:b',
      keys: [{ key: 'local:a', versions: 3, problem: 'the key file x does not hold it' }],
      problem: 'The key local:a is missing.',
      closed: Array.from({ length: 23 }, (_, n) => ({
        tenant: `acme-${n}`,
        name: 'KEY',
        key: 'local:a',
        versions: 2,
      })),
    }),
    rotateSecretKey: () => ({ before: 'local:a', current: 'local:b', rewrapped: 3, failed: [] }),
    createTenant: () => {
      throw new BerthError('conflict', 'enough');
    },
  });
});
afterEach(async () => {
  await fake.close();
  rmSync(dir, { recursive: true, force: true });
});
const berth = (...argv: string[]) => run(fake.url, argv, { now: () => 61_000 });
const fileOf = (name: string, bytes: Buffer): string => {
  writeFileSync(join(dir, name), bytes);
  return join(dir, name);
};

describe('berth tenant secret set', () => {
  test('sends a file byte by byte, says that it is pending, and never shows it', async () => {
    const bytes = Buffer.from([0, 255, 10, 104, 117, 110, 116, 101, 114, 50, 10]);
    const { code, out, err } = await berth(
      'tenant',
      'secret',
      'set',
      'acme',
      'KEY',
      '--file',
      fileOf('a', bytes),
    );
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(fake.askedOf('setSecrets')).toMatchObject([
      {
        params: { tenant: 'acme' },
        body: { secrets: { KEY: { kind: 'value', value: bytes.toString('base64') } } },
      },
    ]);
    expect(out).toMatch(/^KEY of acme has version 2\.\nPending: acme takes it up with its next change/);
    expect(out).not.toContain('hunter2');
  });

  test('sends a reference as it is', async () => {
    await berth('tenant', 'secret', 'set', 'acme', 'KEY', '--from', 'aws-ssm:/prod/key');
    expect(fake.askedOf('setSecrets')[0]?.body).toEqual({
      secrets: { KEY: { kind: 'reference', from: 'aws-ssm:/prod/key' } },
    });
  });

  test('refuses a megabyte, an empty file, a name that is a path, a value as an argument', async () => {
    const large = await berth(
      'tenant',
      'secret',
      'set',
      'acme',
      'KEY',
      '--file',
      fileOf('l', Buffer.alloc(1 << 20, 97)),
    );
    expect(large).toMatchObject({ code: 2, err: expect.stringMatching(/A secret is 64 KB at most/) });
    const empty = await berth(
      'tenant',
      'secret',
      'set',
      'acme',
      'KEY',
      '--file',
      fileOf('e', Buffer.alloc(0)),
    );
    expect(empty).toMatchObject({ code: 2, err: expect.stringMatching(/never empty/) });
    expect(await berth('tenant', 'secret', 'set', 'acme', '../x', '--from', 'aws-ssm:/x')).toMatchObject({
      code: 2,
    });
    const typed = await berth('tenant', 'secret', 'set', 'acme', 'KEY', 'hunter2');
    expect(typed).toMatchObject({ code: 2, err: expect.stringMatching(/can be read by everybody/) });
    expect(typed.err).not.toContain('hunter2');
    expect(await berth('tenant', 'secret', 'set', 'acme', 'KEY', '--from', 'vault:/x')).toMatchObject({
      code: 2,
    });
    expect(fake.calls).toEqual([]);
  });

  test('takes 64 KB', async () => {
    const path = fileOf('most', Buffer.alloc(64 * 1024, 97));
    expect(await berth('tenant', 'secret', 'set', 'acme', 'KEY', '--file', path)).toMatchObject({ code: 0 });
  });
});

test.each([
  ['one\n', 'one'],
  ['one\r\n', 'one'],
  ['one', 'one'],
  ['one\n\n', 'one\n\n'],
  ['a\nb\n', 'a\nb\n'],
  ['\n', ''],
])('of %j from stdin %j is kept', (given, kept) => {
  expect(String(withoutLineEnd(Buffer.from(given)))).toBe(kept);
});

test('berth tenant create takes secrets from files and references, and no value on the command line', async () => {
  const path = fileOf('key', Buffer.from('from a file'));
  const base = ['tenant', 'create', 'acme', '--app', 'shop', '--domain', 'acme.test'];
  await berth(...base, '--secret', `KEY=@${path}`, '--secret', 'DB=aws-ssm:/db');
  expect(fake.askedOf('createTenant')[0]?.body).toMatchObject({
    secrets: {
      KEY: { kind: 'value', value: Buffer.from('from a file').toString('base64') },
      DB: { kind: 'reference', from: 'aws-ssm:/db' },
    },
  });
  const refused = await berth(...base, '--secret', 'KEY=hunter2');
  expect(refused).toMatchObject({ code: 2, err: expect.stringMatching(/can be read by everybody/) });
  expect(refused.err).not.toContain('hunter2');
  expect(await berth(...base, '--secret', 'KEY')).toMatchObject({ code: 2 });
  expect(await berth(...base, '--secret', 'A=-', '--secret', 'B=-')).toMatchObject({ code: 2 });
});

test('list tells names, versions, when and by whom', async () => {
  expect((await berth('tenant', 'secret', 'list', 'acme')).out).toBe(
    'NAME  VERSION  STATE    SERVICES  SET       BY   FROM\n' +
      'KEY   2        pending  web       60 s ago  ann  -\n',
  );
});

test('remove asks first, and says how much went', async () => {
  expect(await berth('tenant', 'secret', 'remove', 'acme', 'KEY')).toMatchObject({ code: 2 });
  expect((await berth('tenant', 'secret', 'remove', 'acme', 'KEY', '-y')).out).toBe(
    'KEY of acme is gone: 2 versions.\n',
  );
});

test('keys are shown with what they cannot open, which ends with 1', async () => {
  const { code, out } = await berth('secret', 'keys');
  expect(code).toBe(1);
  expect(out).toMatch(/^Nothing new is kept: the key local:a is missing\./);
  expect(out).not.toContain('New secrets are wrapped');
  expect(out).toMatch(/local:a +3 +cannot be opened\nlocal:a: the key file x does not hold it\n/);
  expect(out).toMatch(/acme-0 +KEY +2\n/);
  expect(out).toMatch(/acme-19 +KEY +2\nand 3 more; --json has all\.\n$/);
  expect(out).not.toContain('acme-20');
  expect(fake.askedOf('secretKeys')[0]?.query).toEqual({ closed: 'list' });
  const json = await berth('secret', 'keys', '--json');
  expect(json.code).toBe(1);
  const { closed } = JSON.parse(json.out) as { closed: unknown[] };
  expect(closed).toHaveLength(23);
});

test('keys that are all there end with 0, also where there is none yet', async () => {
  await fake.close();
  let current: string | null = 'local:b';
  fake = await fakeApi({
    secretKeys: () => ({
      current,
      keys: current === null ? [] : [{ key: current, versions: 3, problem: null }],
      problem: current === null ? 'This coordinator has no key for secrets.' : null,
      closed: [],
    }),
  });
  const good = await berth('secret', 'keys');
  expect(good.code).toBe(0);
  expect(good.out).toMatch(/^New secrets are wrapped with local:b\.\nKEY/);
  current = null;
  expect(await berth('secret', 'keys')).toMatchObject({
    code: 0,
    out: 'There is no key.\nThis coordinator has no key for secrets.\n',
  });
});

test('the key is changed with -y', async () => {
  expect((await berth('secret', 'rotate-key', '-y')).out).toBe(
    'The key is local:b now; 3 versions are wrapped with it.\nCopy the key file again, and keep the copy apart from those of the database.\n',
  );
  expect(await berth('secret', 'rotate-key')).toMatchObject({ code: 2 });
  await berth('secret', 'rotate-key', '-y', '--despite-lost-keys');
  expect(fake.askedOf('rotateSecretKey').map(({ body }) => body)).toEqual([{}, { despiteLostKeys: true }]);
});
