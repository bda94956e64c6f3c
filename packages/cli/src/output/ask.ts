import { createInterface } from 'node:readline/promises';
import type { Context } from '../context.ts';
import { UsageError } from '../exit-codes.ts';

/**
 * Asks before something that cannot be taken back. `yes` is -y. Without a terminal nobody can be asked, so that is a
 * usage error. Returns what the person said.
 */
export async function confirm(context: Context, question: string, yes: boolean): Promise<'yes' | 'no'> {
  if (yes) return 'yes';
  if (context.stdin.isTTY !== true || context.output.format === 'json') {
    throw new UsageError(
      `${question} Nobody can be asked here.`,
      'Say -y (--yes) to go on without a question.',
    );
  }
  const lines = createInterface({ input: context.stdin, output: process.stderr });
  try {
    const answer = await lines.question(`${question} [y/N] `, { signal: context.signal });
    return /^y(es)?$/i.test(answer.trim()) ? 'yes' : 'no';
  } finally {
    lines.close();
  }
}

/** Reads all of stdin as it is, at most `most` characters; `what` names what should have come. */
export async function readStdin(
  context: Pick<Context, 'stdin'>,
  what: string,
  most: number,
): Promise<string> {
  let text = '';
  context.stdin.setEncoding('utf8');
  for await (const chunk of context.stdin) {
    text += String(chunk);
    if (text.length > most) throw new UsageError(`More came on stdin than ${what} could be.`);
  }
  return text;
}

/** Asks for something that must not appear on the screen. */
export async function askHidden(context: Context, question: string): Promise<string> {
  const input = context.stdin;
  process.stderr.write(question);
  input.setRawMode(true);
  input.resume();
  let typed = '';
  try {
    for await (const chunk of input.iterator({ destroyOnReturn: false })) {
      for (const letter of String(chunk)) {
        if (letter === '\r' || letter === '\n') return typed.trim();
        if (letter === '\u0003' || letter === '\u0004') throw new UsageError('Nothing was entered.');
        typed = letter === '\u007f' ? typed.slice(0, -1) : typed + letter;
      }
    }
    return typed.trim();
  } finally {
    input.setRawMode(false);
    input.pause();
    process.stderr.write('\n');
  }
}
