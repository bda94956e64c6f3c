import { z } from 'zod';
import type { EcrToken } from './credentials.ts';

const Answer = z.object({
  authorizationData: z
    .array(z.object({ authorizationToken: z.string().min(1), expiresAt: z.date() }))
    .min(1, { error: 'holds no token' }),
});

/** ECR's answer to GetAuthorizationToken: `user:password` in base64. Throws when it is none; never quotes it. */
export function ecrTokenOf(answer: unknown): EcrToken {
  const parsed = Answer.safeParse(answer);
  const data = parsed.success ? parsed.data.authorizationData[0] : undefined;
  if (data === undefined) throw new Error('the answer of ECR holds no authorization token');
  const text = Buffer.from(data.authorizationToken, 'base64').toString('utf8');
  const colon = text.indexOf(':');
  if (colon <= 0) throw new Error('the authorization token of ECR is not of the form user:password');
  return {
    username: text.slice(0, colon),
    password: text.slice(colon + 1),
    expiresAt: data.expiresAt.getTime(),
  };
}
