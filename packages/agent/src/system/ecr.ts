import type { FetchEcrToken } from '@berth/shared/registry/credentials';
import { z } from 'zod';
import { runCommand } from './command.ts';
import { ECR_PROGRAM } from './ecr-module.ts';

const Answer = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('token'),
    username: z.string(),
    password: z.string(),
    expiresAt: z.number(),
  }),
  z.object({ kind: z.literal('refused'), name: z.string(), message: z.string() }),
]);

const MOST_MS = 30_000;
const MOST_BYTES = 256 * 1024;

/** Asks ECR for a token in a process of its own, which is gone with all its memory when this settles. */
export const fetchEcrToken: FetchEcrToken = async (of, signal) => {
  const { stdout, code } = await runCommand(process.execPath, [ECR_PROGRAM], {
    signal,
    timeoutMs: MOST_MS,
    input: JSON.stringify(of),
    maxBytes: MOST_BYTES,
  });
  const answer = Answer.safeParse(jsonIn(stdout));
  // Never its output: it may hold half a token.
  if (!answer.success) throw new Error(`the program that asks ECR ended with ${code} and no answer`);
  if (answer.data.kind === 'refused')
    throw Object.assign(new Error(answer.data.message), { name: answer.data.name });
  const { username, password, expiresAt } = answer.data;
  return { username, password, expiresAt };
};

function jsonIn(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
