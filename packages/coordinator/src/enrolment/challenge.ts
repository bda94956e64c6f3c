import { createHmac, timingSafeEqual } from 'node:crypto';

/** How long a host may take from its challenge to its proof. */
export const CHALLENGE_MS = 120_000;
const NONCE_BYTES = 18;

export type ChallengeCheck =
  { kind: 'good'; expiresAt: number } | { kind: 'expired'; expiresAt: number } | { kind: 'not-ours' };

export interface Challenges {
  issue(at: number, random: (count: number) => Uint8Array): { challenge: string; expiresAt: number };
  check(challenge: string, at: number): ChallengeCheck;
}

/**
 * Challenges that carry their own proof: nothing is kept for one until it was used, so asking for a million costs no
 * memory, and of several coordinators with the same key any may check what another gave out.
 */
export function createChallenges(key: string): Challenges {
  const macOf = (body: string): string =>
    createHmac('sha256', key).update(`berth enrolment challenge\n${body}`).digest('base64url');
  return {
    issue(at, random) {
      const expiresAt = at + CHALLENGE_MS;
      const body = `c1.${Buffer.from(random(NONCE_BYTES)).toString('base64url')}.${expiresAt.toString(36)}`;
      return { challenge: `${body}.${macOf(body)}`, expiresAt };
    },
    check(challenge, at) {
      const [, body, expiry, mac] = /^(c1\.[\w-]{24}\.([0-9a-z]{8,9}))\.([\w-]{43})$/.exec(challenge) ?? [];
      if (body === undefined || expiry === undefined || mac === undefined) return { kind: 'not-ours' };
      if (!timingSafeEqual(Buffer.from(macOf(body)), Buffer.from(mac))) return { kind: 'not-ours' };
      const expiresAt = Number.parseInt(expiry, 36);
      return { kind: at < expiresAt ? 'good' : 'expired', expiresAt };
    },
  };
}
