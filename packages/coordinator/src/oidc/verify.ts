import { BerthError } from '@berth/shared/domain/errors';
import { decodeJwt, errors, jwtVerify, type JWTPayload, type JWTVerifyGetKey } from 'jose';
import { Claims, type IdentityVerifier } from '../services/identity.ts';
import { createKeySource, type KeySettings } from './keys.ts';

/** Signatures that a public key verifies; never a shared secret, never none. */
const ALGORITHMS = ['RS256', 'ES256'];
/** How far the clocks of issuer and coordinator may be apart. */
const TOLERANCE_S = 30;
/** The longest that a token may have been around. */
const OLDEST_S = 3_600;

export const KEY_SETTINGS: KeySettings = {
  timeoutMs: 5_000,
  bytes: 256 * 1024,
  cacheMs: 10 * 60_000,
  coolDownMs: 30_000,
  staleMs: 24 * 3_600_000,
};

/** Verifies identity tokens with the keys that their issuer publishes. */
export function createIdentityVerifier(
  clock: { now(): number },
  settings: KeySettings = KEY_SETTINGS,
): IdentityVerifier {
  const source = createKeySource(clock, settings);

  async function payloadOf(token: string, issuer: string, audiences: readonly string[]): Promise<JWTPayload> {
    const verified = async (find: JWTVerifyGetKey): Promise<JWTPayload> =>
      (
        await jwtVerify(token, find, {
          issuer,
          audience: [...audiences],
          algorithms: ALGORITHMS,
          clockTolerance: TOLERANCE_S,
          maxTokenAge: OLDEST_S,
          currentDate: new Date(clock.now()),
          requiredClaims: ['exp', 'iat', 'jti'],
        })
      ).payload;
    const keys = await source.keys(issuer);
    try {
      return await verified(keys.find);
    } catch (thrown) {
      if (!(thrown instanceof errors.JWKSNoMatchingKey)) throw thrown;
      // The issuer may have a new key since.
      const newer = await source.newer(issuer, keys);
      if (newer === null) throw thrown;
      return await verified(newer.find);
    }
  }

  return {
    issuerOf(token) {
      try {
        return decodeJwt(token).iss ?? null;
      } catch {
        return null;
      }
    },
    async verify(token, issuer, audiences) {
      let payload: JWTPayload;
      try {
        payload = await payloadOf(token, issuer, audiences);
      } catch (thrown) {
        if (thrown instanceof BerthError) throw thrown;
        throw new BerthError('unauthenticated', reasonOf(thrown), { cause: thrown });
      }
      const claims = Claims.safeParse(payload);
      if (claims.success) return claims.data;
      const missing = [...new Set(claims.error.issues.map((issue) => String(issue.path[0])))].join(', ');
      throw new BerthError(
        'unauthenticated',
        `This identity token does not say what a CI's must (${missing}). Is it one of GitHub Actions?`,
      );
    },
  };
}

function reasonOf(thrown: unknown): string {
  if (thrown instanceof errors.JWTExpired)
    return thrown.claim === 'iat'
      ? 'This identity token is too old. Ask the CI for a new one.'
      : 'This identity token has run out. Ask the CI for a new one right before it is exchanged.';
  if (thrown instanceof errors.JWTClaimValidationFailed) {
    switch (thrown.claim) {
      case 'aud':
        return 'This identity token was made for another audience than a trust rule names.';
      case 'nbf':
      case 'iat':
        return 'This identity token is from the future. Is a clock wrong, here or there?';
      default:
        return `This identity token has no good "${thrown.claim}".`;
    }
  }
  if (thrown instanceof errors.JOSEAlgNotAllowed)
    return `This identity token is signed in a way that is not taken; it must be ${ALGORITHMS.join(' or ')}.`;
  if (thrown instanceof errors.JWKSNoMatchingKey || thrown instanceof errors.JWKSMultipleMatchingKeys)
    return 'This identity token is signed with a key that its issuer does not publish.';
  if (thrown instanceof errors.JWSSignatureVerificationFailed)
    return 'The signature of this identity token does not fit it.';
  return 'This identity token cannot be read.';
}
