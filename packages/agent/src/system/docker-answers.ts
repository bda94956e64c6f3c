import { BerthError } from '@berth/shared/domain/errors';
import { z } from 'zod';

/** What dockerode gave back, as the schema has it. Its own types are not believed. */
export function read<T>(
  schema: z.ZodType<T>,
  answer: unknown,
  code: 'internal' | 'docker_unavailable' = 'internal',
): T {
  const parsed = schema.safeParse(answer);
  if (parsed.success) return parsed.data;
  throw new BerthError(
    Buffer.isBuffer(answer) ? 'docker_unavailable' : code,
    `Docker answered something else than it was asked for: ${z.prettifyError(parsed.error).slice(0, 300)}`,
    { cause: parsed.error },
  );
}

/** Null when there is no such thing. */
export async function readUnlessGone<T>(schema: z.ZodType<T>, asked: Promise<unknown>): Promise<T | null> {
  const answer = await unlessStatus([404], asked);
  return answer === null ? null : read(schema, answer);
}

/** Null when the daemon refused with one of these. */
export async function unlessStatus<T>(tolerated: readonly number[], asked: Promise<T>): Promise<T | null> {
  try {
    return await asked;
  } catch (error) {
    const status = statusOf(error);
    if (status !== null && tolerated.includes(status)) return null;
    throw error;
  }
}

/** Of a refusal; null for everything else. */
export function statusOf(error: unknown): number | null {
  const status = error instanceof BerthError ? error.details['status'] : undefined;
  return typeof status === 'number' ? status : null;
}
