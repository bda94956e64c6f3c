import { z } from 'zod';
import { BerthError, messageOf } from '@berth/shared/domain/errors';
import { postJson } from './post.ts';

const Refusal = z.object({
  error: z.object({
    code: z.string().default(''),
    message: z.string(),
    details: z.record(z.string(), z.unknown()).default({}),
  }),
});

/**
 * One question to the coordinator from a host that has no identity yet. Errors: `unavailable` when nobody answers or it
 * cannot answer now, `rate_limited`, `unauthenticated` when it refuses, with its details; `internal` when the answer is
 * not understood.
 */
export async function askCoordinator<T>(
  base: string,
  path: string,
  body: object,
  answerOf: z.ZodType<T>,
  signal?: AbortSignal,
): Promise<T> {
  const address = new URL(path, base);
  const { status, answer } = await postJson(address, JSON.stringify(body), signal).catch((cause: unknown) => {
    throw new BerthError('unavailable', `No coordinator answers at ${address.origin}: ${messageOf(cause)}.`, {
      cause,
    });
  });
  if (status < 200 || status > 299) {
    const refusal = Refusal.safeParse(answer);
    const why = refusal.success ? refusal.data.error.message : `it answered ${status}`;
    const code =
      status === 401 || status === 403 ? 'unauthenticated' : status === 429 ? 'rate_limited' : 'unavailable';
    throw new BerthError(code, `The coordinator at ${address.origin} did not enrol this host: ${why}`, {
      details: refusal.success ? refusal.data.error.details : {},
    });
  }
  const parsed = answerOf.safeParse(answer);
  if (parsed.success) return parsed.data;
  throw new BerthError(
    'internal',
    `The coordinator at ${address.origin} enrolled this host in an unknown way.`,
  );
}
