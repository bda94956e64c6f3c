import { z } from 'zod';
import { plainText } from '../domain/access.ts';
import { AppName } from '../domain/ids.ts';

export const GITHUB_ISSUER = 'https://token.actions.githubusercontent.com';

/** Keys come from there, so it must be https; only a test's own issuer on this machine may go without. */
export const OidcIssuer = z.string().max(300).refine(isSafeAddress, {
  error:
    'an issuer must be an https address without a query, such as https://token.actions.githubusercontent.com',
});

/** Whether keys may be fetched from there: https, or http on the loopback interface. */
export function isSafeAddress(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, hostname, username, password, search, hash } = new URL(text);
  if (username !== '' || password !== '' || search !== '' || hash !== '') return false;
  return (
    protocol === 'https:' || (protocol === 'http:' && ['127.0.0.1', '[::1]', 'localhost'].includes(hostname))
  );
}

const twoStars = (text: string): boolean => text.split('*').length <= 3;

/** `org/repo`. A `*` may stand within the repository's name, never in its owner's: `org/shop-*`. */
export const RepositoryPattern = z
  .string()
  .max(200)
  .regex(/^[A-Za-z0-9_.-]+\/[A-Za-z0-9_.*-]+$/, {
    error:
      "must be an owner and a repository such as example/shop; a '*' may stand in the repository's name only",
  })
  .refine(twoStars, { error: "may have two '*' at most" });

/** `refs/heads/main`. A `*` stands for anything but a `/`: `refs/tags/v*`. */
export const RefPattern = z
  .string()
  .max(300)
  .regex(/^refs\/[^\s\p{Cc}\p{Cf}?[\\^~:]+$/u, {
    error: 'must be a full ref such as refs/heads/main or refs/tags/v*',
  })
  .refine(twoStars, { error: "may have two '*' at most" });

/** Who may exchange an identity token of a CI for a deployer token, and of what. */
export const AddTrust = z.strictObject({
  issuer: OidcIssuer.default(GITHUB_ISSUER),
  /** What the token must have been made for; any text that both sides know, such as this coordinator's address. */
  audience: plainText(200),
  repository: RepositoryPattern,
  /** The repository's number: a name may be given to another one later, a number never is. */
  repositoryId: z
    .string()
    .regex(/^\d{1,20}$/, { error: 'must be a number' })
    .optional(),
  ref: RefPattern,
  /** The deployment environment that the job must run in. */
  environment: plainText(255).optional(),
  apps: z.array(AppName).min(1).max(100),
  /** How long the deployer token is good for, in milliseconds; at most an hour. */
  ttlMs: z.int().min(60_000).max(3_600_000).default(900_000),
});
export type AddTrust = z.output<typeof AddTrust>;

export const Trust = AddTrust.extend({ id: z.string(), createdAt: z.number(), createdBy: z.string() });
export type Trust = z.infer<typeof Trust>;

export const ExchangeToken = z.strictObject({ token: z.string().min(1).max(16_384) });
export const ExchangedToken = z.object({
  /** A deployer token of these apps. */
  token: z.string(),
  id: z.string(),
  name: z.string(),
  apps: z.array(AppName),
  expiresAt: z.number(),
});
