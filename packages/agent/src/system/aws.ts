import { BerthError } from '@berth/shared/domain/errors';
import { AwsAnswer, type AwsAsk } from './aws-ask.ts';
import { AWS_PROGRAM } from './aws-module.ts';
import { runCommand } from './command.ts';
import { cleanLine } from './text.ts';

/** Asks AWS one thing. Errors: `secret_unavailable` with AWS's own words, `timeout`. */
export type AskAws = (ask: AwsAsk, signal?: AbortSignal) => Promise<Buffer>;

/** SDK tries and their pauses; whoever waits for a deploy waits no longer than this. */
const MOST_MS = 20_000;
const MOST_BYTES = 512 * 1024;

/** In a process of its own, which is gone with all its memory when this settles. */
export const askAws: AskAws = async (ask, signal) => {
  const { stdout, code } = await runCommand(process.execPath, [AWS_PROGRAM], {
    signal,
    timeoutMs: MOST_MS,
    input: JSON.stringify(ask),
    maxBytes: MOST_BYTES,
  });
  const answer = AwsAnswer.safeParse(jsonIn(stdout));
  // Never its output: it may hold half a value.
  if (!answer.success)
    throw new BerthError('secret_unavailable', `the program that asks AWS ended with ${code} and no answer`);
  if (answer.data.kind === 'refused')
    throw new BerthError('secret_unavailable', cleanLine(`${answer.data.name}: ${answer.data.message}`, 500));
  return Buffer.from(answer.data.value, 'base64');
};

function jsonIn(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
