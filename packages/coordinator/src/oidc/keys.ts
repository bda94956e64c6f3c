import { isSafeAddress } from '@berth/shared/api/oidc';
import { BerthError } from '@berth/shared/domain/errors';
import { createLocalJWKSet, type JSONWebKeySet, type JWTVerifyGetKey } from 'jose';
import { z } from 'zod';
import { limitedJson, type FetchLimits } from './limited-json.ts';

export interface KeySettings extends FetchLimits {
  /** How long keys are good without asking again. */
  cacheMs: number;
  /** The shortest time between two fetches, whatever tokens come. */
  coolDownMs: number;
  /** Keys that could not be fetched anew are good for so long. */
  staleMs: number;
}

export interface Keys {
  find: JWTVerifyGetKey;
  fetchedAt: number;
}

export interface KeySource {
  /** Keys of an issuer, from the cache while they are fresh. Errors: `unavailable`. */
  keys(issuer: string): Promise<Keys>;
  /** Newer keys than these, if they may be asked for already: for a token whose key is not among them. */
  newer(issuer: string, than: Keys): Promise<Keys | null>;
}

const Discovery = z.object({ issuer: z.string(), jwks_uri: z.string().max(500) });
const KeySet = z.object({ keys: z.array(z.looseObject({ kty: z.string() })).max(100) });

interface Entry {
  keys: Keys | null;
  askedAt: number;
  failure: BerthError | null;
  asking: Promise<Keys> | null;
}

/** Fetches and keeps the public keys of issuers: one request at a time for each, and none too soon after the last. */
export function createKeySource(clock: { now(): number }, settings: KeySettings): KeySource {
  const entries = new Map<string, Entry>();

  function entryOf(issuer: string): Entry {
    const known = entries.get(issuer);
    if (known !== undefined) return known;
    const entry: Entry = { keys: null, askedAt: Number.NEGATIVE_INFINITY, failure: null, asking: null };
    entries.set(issuer, entry);
    return entry;
  }

  function ask(issuer: string, entry: Entry): Promise<Keys> {
    entry.asking ??= (async () => {
      entry.askedAt = clock.now();
      try {
        entry.keys = { find: await fetchKeys(issuer, settings), fetchedAt: clock.now() };
        entry.failure = null;
        return entry.keys;
      } catch (thrown) {
        entry.failure =
          thrown instanceof BerthError
            ? thrown
            : new BerthError('unavailable', 'The keys cannot be read.', { cause: thrown });
        throw entry.failure;
      } finally {
        entry.asking = null;
      }
    })();
    return entry.asking;
  }

  return {
    async keys(issuer) {
      const entry = entryOf(issuer);
      const now = clock.now();
      const { keys } = entry;
      if (keys !== null && now - keys.fetchedAt < settings.cacheMs) return keys;
      const stale = keys !== null && now - keys.fetchedAt < settings.staleMs ? keys : null;
      if (entry.asking === null && entry.failure !== null && now - entry.askedAt < settings.coolDownMs) {
        if (stale !== null) return stale;
        throw entry.failure;
      }
      try {
        return await ask(issuer, entry);
      } catch (thrown) {
        if (stale !== null) return stale;
        throw thrown;
      }
    },
    async newer(issuer, than) {
      const entry = entryOf(issuer);
      if (entry.keys !== null && entry.keys !== than) return entry.keys;
      if (entry.asking === null && clock.now() - entry.askedAt < settings.coolDownMs) return null;
      return await ask(issuer, entry);
    },
  };
}

async function fetchKeys(issuer: string, limits: FetchLimits): Promise<JWTVerifyGetKey> {
  const where = `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`;
  const found = Discovery.safeParse(await limitedJson(where, limits));
  if (
    !found.success ||
    found.data.issuer !== issuer ||
    !isSafeAddress(found.data.jwks_uri) ||
    // Only an issuer of this machine may have its keys on this machine.
    new URL(found.data.jwks_uri).protocol !== new URL(issuer).protocol
  )
    throw new BerthError(
      'unavailable',
      `What ${where} says is not the description of the issuer ${issuer} with an https address of its keys.`,
    );
  const set = KeySet.safeParse(await limitedJson(found.data.jwks_uri, limits));
  if (!set.success)
    throw new BerthError('unavailable', `What ${found.data.jwks_uri} answers are not the keys of an issuer.`);
  const keys: JSONWebKeySet = set.data;
  return createLocalJWKSet(keys);
}
