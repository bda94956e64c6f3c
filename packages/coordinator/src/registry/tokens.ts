import { BerthError } from '@berth/shared/domain/errors';
import { abortable } from '@berth/shared/registry/abortable';
import type { Credential } from '@berth/shared/registry/credentials';
import { z } from 'zod';
import { basicOf } from './basic.ts';
import type { Challenge } from './challenge.ts';
import { askPatiently, type HttpDeps } from './http.ts';

export type BearerChallenge = Extract<Challenge, { scheme: 'bearer' }>;

export interface TokenRequest {
  registry: string;
  challenge: BearerChallenge;
  /** What is asked for when the challenge does not say. */
  scope: string;
  credential: Credential | null;
  plainHttp: boolean;
}

interface Kept {
  token: string;
  renewAt: number;
}

const Answer = z
  .object({
    token: z.string().min(1).max(65_536).optional(),
    access_token: z.string().min(1).max(65_536).optional(),
    expires_in: z.number().min(0).optional(),
  })
  .transform(({ token, access_token, expires_in }) => ({
    token: token ?? access_token,
    seconds: expires_in ?? DEFAULT_SECONDS,
  }));

/** As the token specification has it for a server that does not say. */
const DEFAULT_SECONDS = 60;
const MAX_ANSWER = 256 * 1024;
const MOST_KEPT = 1_000;
const MOST_MS = 60_000;

/** Bearer tokens by registry, scope and user; each is renewed before it ends, and asked for once by many at a time. */
export class BearerTokens {
  readonly #deps: HttpDeps;
  readonly #kept = new Map<string, Kept>();
  readonly #asked = new Map<string, Promise<Kept>>();

  constructor(deps: HttpDeps) {
    this.#deps = deps;
  }

  /** The token that was given for this before, while it is good. */
  known(registry: string, scope: string, credential: Credential | null): string | null {
    const kept = this.#kept.get(keyOf(registry, scope, credential));
    return kept !== undefined && kept.renewAt > this.#deps.clock.now() ? kept.token : null;
  }

  forget(registry: string, scope: string, credential: Credential | null): void {
    this.#kept.delete(keyOf(registry, scope, credential));
  }

  /** Asks the server that the challenge names. Errors: `image_pull_failed`, `registry_unreachable`. */
  async ask(of: TokenRequest, signal: AbortSignal): Promise<string> {
    const key = keyOf(of.registry, of.scope, of.credential);
    const pending = this.#asked.get(key) ?? this.#askOnce(key, of);
    return (await abortable(pending, signal)).token;
  }

  /** For all who wait, so nobody's signal ends it for the others. */
  #askOnce(key: string, of: TokenRequest): Promise<Kept> {
    const pending = this.#fetch(of, AbortSignal.timeout(MOST_MS))
      .then((kept) => {
        if (this.#kept.size >= MOST_KEPT) this.#kept.clear();
        this.#kept.set(key, kept);
        return kept;
      })
      .finally(() => this.#asked.delete(key));
    this.#asked.set(key, pending);
    return pending;
  }

  async #fetch(of: TokenRequest, signal: AbortSignal): Promise<Kept> {
    const url = new URL(of.challenge.realm);
    if (url.protocol !== 'https:' && !(url.protocol === 'http:' && of.plainHttp))
      throw new BerthError(
        'image_pull_failed',
        `The registry ${of.registry} wants its tokens fetched over plain HTTP from ${url.host}, which is not done. Say "insecure": true of it if that is meant.`,
      );
    if (of.challenge.service !== null) url.searchParams.set('service', of.challenge.service);
    url.searchParams.set('scope', of.challenge.scope ?? of.scope);
    if (of.credential !== null) url.searchParams.set('account', of.credential.username);
    const begun = this.#deps.clock.now();
    const answer = await askPatiently(
      this.#deps,
      {
        method: 'GET',
        url,
        accept: 'application/json',
        authorization: of.credential === null ? null : basicOf(of.credential),
        redirects: 'same-host',
        maxBytes: MAX_ANSWER,
      },
      signal,
    );
    if (answer.status !== 200) throw refusedToken(of, url.host, answer.status);
    const { token, seconds } = tokenIn(answer.body, of, url.host);
    // A tenth of its life, at most half a minute, is left for the request that uses it.
    const lifeMs = seconds * 1000;
    return { token, renewAt: begun + lifeMs - Math.min(30_000, lifeMs / 10) };
  }
}

function tokenIn(body: Buffer, of: TokenRequest, host: string): { token: string; seconds: number } {
  let json: unknown = null;
  try {
    json = JSON.parse(body.toString('utf8'));
  } catch {
    // Below: it holds no token.
  }
  const { data } = Answer.safeParse(json);
  if (data?.token !== undefined) return { token: data.token, seconds: data.seconds };
  throw new BerthError(
    'registry_unreachable',
    `The token server ${host} of the registry ${of.registry} answered without a token.`,
  );
}

function refusedToken(of: TokenRequest, host: string, status: number): BerthError {
  const who =
    of.credential === null
      ? 'gave no token to somebody without credentials; configure them under "registries"'
      : `did not accept the credentials of ${of.credential.username}; check them under "registries"`;
  return status === 401 || status === 403
    ? new BerthError(
        'image_pull_failed',
        `The token server ${host} of the registry ${of.registry} ${who}. (${status})`,
        { details: { registry: of.registry } },
      )
    : new BerthError(
        'registry_unreachable',
        `The token server ${host} of the registry ${of.registry} answered ${status} instead of giving a token.`,
        { details: { registry: of.registry } },
      );
}

/** The password is part of it, so that a changed one is not answered with the old one's token. Never shown. */
function keyOf(registry: string, scope: string, credential: Credential | null): string {
  return JSON.stringify([registry, scope, credential?.username ?? null, credential?.password ?? null]);
}
