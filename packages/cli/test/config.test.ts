import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { connectionOf, loginPath, parseUrl, readLogin, readTokenFile, writeLogin } from '../src/config.ts';
import { UsageError } from '../src/exit-codes.ts';

let dir = '';
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'berth-config-'));
});
afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
});

const url = 'http://127.0.0.1:7700';

test('a login is for its owner only and comes back as it was written', () => {
  const path = join(dir, 'deep', 'cli.json');
  writeLogin(path, { url, token: 'secret' });
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(readLogin(path)).toEqual({ url, token: 'secret' });
});

test('a login that others can read is refused', () => {
  const path = join(dir, 'cli.json');
  writeLogin(path, { url, token: 'secret' });
  chmodSync(path, 0o644);
  expect(() => readLogin(path)).toThrow(/chmod 600|others can read/);
});

test('a damaged login says to log in again, and a missing one is none', () => {
  const path = join(dir, 'cli.json');
  expect(readLogin(path)).toBeUndefined();
  writeFileSync(path, '{"url": 7', { mode: 0o600 });
  expect(() => readLogin(path)).toThrow(UsageError);
});

test('BERTH_CONFIG comes before BERTH_HOME, and that before the home directory', () => {
  expect(loginPath({ BERTH_CONFIG: '/a/b.json', BERTH_HOME: '/h' })).toBe('/a/b.json');
  expect(loginPath({ BERTH_HOME: '/h' })).toBe('/h/cli.json');
  expect(loginPath({ XDG_CONFIG_HOME: '/x' })).toBe('/x/berth/cli.json');
});

/** For what nothing is warned of. */
const quiet = (sentence: string): void => {
  throw new Error(sentence);
};

test('a token file that others can read is warned of, and read all the same', () => {
  const path = join(dir, 'token');
  writeFileSync(path, 'from-file\n', { mode: 0o600 });
  const given = { url, tokenFile: path };
  expect(connectionOf(given, {}, dir, quiet).token).toBe('from-file');
  for (const mode of [0o640, 0o604, 0o644]) {
    chmodSync(path, mode);
    const said: string[] = [];
    expect(connectionOf(given, {}, dir, (one) => said.push(one)).token).toBe('from-file');
    expect(said).toEqual([
      `the token file ${path} can be read by others (mode 0${mode.toString(8)}); make it yours alone: chmod 600 ${path}`,
    ]);
  }
  expect(() => readTokenFile(join(dir, 'none'), quiet)).toThrow(/there is no such file/);
});

test('options override the environment, which overrides the login', () => {
  const env = { BERTH_CONFIG: join(dir, 'cli.json') };
  writeLogin(env.BERTH_CONFIG, { url, token: 'stored' });
  writeFileSync(join(dir, 'token'), 'from-file\n', { mode: 0o600 });
  expect(connectionOf({}, env, dir, quiet)).toEqual({ url, token: 'stored' });
  expect(connectionOf({}, { ...env, BERTH_TOKEN: 'env' }, dir, quiet)).toEqual({ url, token: 'env' });
  expect(connectionOf({ tokenFile: join(dir, 'token') }, { ...env, BERTH_TOKEN: 'env' }, dir, quiet)).toEqual(
    {
      url,
      token: 'from-file',
    },
  );
});

test('a stored token is never sent to another address', () => {
  const env = { BERTH_CONFIG: join(dir, 'cli.json') };
  writeLogin(env.BERTH_CONFIG, { url, token: 'stored' });
  expect(connectionOf({ url: 'http://other.example' }, env, dir, quiet).token).toBeUndefined();
  expect(connectionOf({ url: `${url}/` }, env, dir, quiet).token).toBe('stored');
});

test('the instance of this directory counts when nothing else is set', () => {
  mkdirSync(join(dir, '.berth'));
  writeLogin(join(dir, '.berth', 'cli.json'), { url, token: 'local' });
  const env = { XDG_CONFIG_HOME: join(dir, 'none') };
  expect(connectionOf({}, env, dir, quiet)).toEqual({ url, token: 'local' });
  expect(() => connectionOf({}, env, join(dir, 'elsewhere'), quiet)).toThrow(/No coordinator is known here/);
});

test('addresses are http or https and lose their last slash', () => {
  expect(parseUrl('https://berth.example.com/')).toBe('https://berth.example.com');
  expect(() => parseUrl('ftp://x')).toThrow(UsageError);
  expect(() => parseUrl('berth.example.com')).toThrow(UsageError);
});
