import { BerthError, messageOf } from '@berth/shared/domain/errors';
import { mkdirSync, readFileSync, statSync, writeFileSync, chmodSync, renameSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { z } from 'zod';
import { UsageError } from './exit-codes.ts';
import { openTokenFile } from './private-file.ts';
import { readText } from './read-text.ts';

/** What `berth login` and `berth up` write down: where the coordinator is and who we are there. */
export const LoginFile = z.object({ url: z.url({ protocol: /^https?$/ }), token: z.string().min(1) });
export type LoginFile = z.infer<typeof LoginFile>;

export type Environment = Readonly<Record<string, string | undefined>>;

/** Where a login is written: $BERTH_CONFIG, else $BERTH_HOME/cli.json, else ~/.config/berth/cli.json. */
export function loginPath(env: Environment): string {
  if (env['BERTH_CONFIG']) return resolve(env['BERTH_CONFIG']);
  if (env['BERTH_HOME']) return join(resolve(env['BERTH_HOME']), 'cli.json');
  return join(env['XDG_CONFIG_HOME'] || join(homedir(), '.config'), 'berth', 'cli.json');
}

/**
 * The files a login is read from, first one that exists wins. Without any setting, the instance of `berth up` in this
 * directory counts, so that its commands work as they are printed.
 */
export function loginCandidates(env: Environment, cwd: string): string[] {
  if (env['BERTH_CONFIG'] || env['BERTH_HOME']) return [loginPath(env)];
  return [join(cwd, '.berth', 'cli.json'), loginPath(env)];
}

/** Writes the login for its owner only (0600). Errors: BerthError with the path. */
export function writeLogin(path: string, login: LoginFile): void {
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    const staged = `${path}.${process.pid}`;
    writeFileSync(staged, `${JSON.stringify(login, null, 2)}\n`, { mode: 0o600 });
    chmodSync(staged, 0o600);
    renameSync(staged, path);
  } catch (cause) {
    throw new BerthError(
      'state_unwritable',
      `The login could not be written to ${path}: ${messageOf(cause)}`,
      {
        cause,
      },
    );
  }
}

/** Reads one login file; undefined when there is none. One that others may read or that someone else owns is refused. */
export function readLogin(path: string): LoginFile | undefined {
  let text: string;
  try {
    const facts = statSync(path);
    if ((facts.mode & 0o077) !== 0 || facts.uid !== (process.getuid?.() ?? facts.uid)) {
      throw new UsageError(
        `${path} holds a token but others can read it, or someone else owns it.`,
        `Make it yours alone (chmod 600 ${path}), or log in again.`,
      );
    }
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    if (cause instanceof UsageError) throw cause;
    if (isMissing(cause)) return undefined;
    throw new UsageError(`${path} could not be read: ${messageOf(cause)}`);
  }
  try {
    return LoginFile.parse(JSON.parse(text));
  } catch {
    throw new UsageError(`${path} is not a login that berth understands.`, 'Log in again: berth login URL');
  }
}

export interface Connection {
  url: string;
  token: string | undefined;
}

/**
 * Where to go and as whom. Order: --url and --token-file, BERTH_URL and BERTH_TOKEN, the login file. A token is sent
 * only to the address it was stored for, unless it was given together with another one. `warn` is told of a token file that
 * others can read.
 */
export function connectionOf(
  given: { url?: string | undefined; tokenFile?: string | undefined },
  env: Environment,
  cwd: string,
  warn: Warn,
): Connection {
  const explicitUrl = given.url ?? (env['BERTH_URL'] || undefined);
  const explicitToken =
    given.tokenFile === undefined ? env['BERTH_TOKEN'] || undefined : readTokenFile(given.tokenFile, warn);
  if (explicitUrl !== undefined && explicitToken !== undefined)
    return { url: parseUrl(explicitUrl), token: explicitToken };

  let login: LoginFile | undefined;
  for (const path of loginCandidates(env, cwd)) login ??= readLogin(path);
  if (explicitUrl === undefined) {
    if (login === undefined) {
      throw new UsageError(
        'No coordinator is known here.',
        'Log in (berth login URL), start one on this machine (berth up), or set BERTH_URL and BERTH_TOKEN.',
      );
    }
    return { url: parseUrl(login.url), token: explicitToken ?? login.token };
  }
  const url = parseUrl(explicitUrl);
  const same = login !== undefined && parseUrl(login.url) === url;
  return { url, token: explicitToken ?? (same ? login?.token : undefined) };
}

/** Scheme and host only, no slash at the end. */
export function parseUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw new UsageError(
      `${JSON.stringify(text)} is not an address of a coordinator.`,
      'It looks like http://127.0.0.1:7700.',
    );
  }
  return `${url.protocol}//${url.host}${url.pathname.replace(/\/+$/, '')}`;
}

/** Tells whoever runs a command of something that is wrong and does not stop it. */
export type Warn = (sentence: string) => void;

/** Errors: UsageError. That others can read it is a warning only: what a CI or a container mounts is often like that. */
export function readTokenFile(path: string, warn: Warn): string {
  const token = readText(path, `The token file ${path}`).trim();
  if (token === '') throw new UsageError(`The token file ${path} is empty.`);
  const open = openTokenFile(path);
  if (open !== null) warn(open);
  return token;
}

export function isMissing(thrown: unknown): boolean {
  return thrown instanceof Error && 'code' in thrown && thrown.code === 'ENOENT';
}
