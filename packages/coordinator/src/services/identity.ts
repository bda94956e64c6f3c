import { plainText } from '@berth/shared/domain/access';
import { z } from 'zod';

const text = plainText(300);

/** What a CI says of the job that asks, once its signature is verified. Times are seconds since 1970, as in the token. */
export const Claims = z.object({
  iss: z.string(),
  aud: z.union([z.string(), z.array(z.string())]),
  exp: z.number(),
  /** Different in every token. */
  jti: z.string().min(1).max(300),
  repository: text,
  ref: text,
  repository_id: text.optional().catch(undefined),
  environment: text.optional().catch(undefined),
  event_name: text.optional().catch(undefined),
  run_id: text.optional().catch(undefined),
  workflow_ref: text.optional().catch(undefined),
  sha: text.optional().catch(undefined),
  actor: text.optional().catch(undefined),
});
export type Claims = z.infer<typeof Claims>;

/** Knows whether an identity provider really said what a token says. */
export interface IdentityVerifier {
  /** Who a token says it is from, before anything is believed; null when it is no such token. */
  issuerOf(token: string): string | null;
  /**
   * What the token says. Errors: `unauthenticated` when it was not made by this issuer, for one of these audiences, and
   * for now; `unavailable` when the issuer's keys cannot be had.
   */
  verify(token: string, issuer: string, audiences: readonly string[]): Promise<Claims>;
}
