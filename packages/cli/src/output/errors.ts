import { BerthError, messageOf } from '@berth/shared/domain/errors';
import { CommanderError } from 'commander';
import { z } from 'zod';
import { Ended, UsageError } from '../exit-codes.ts';
import type { Output } from './output.ts';
import { clean } from './style.ts';

const FindingList = z.array(
  z.object({ line: z.number(), column: z.number(), path: z.string(), message: z.string() }),
);

/**
 * Says what went wrong on stderr: `error: sentence` and what to do, or one JSON document with --json. `start` is the
 * command that starts this machine's instance.
 */
export function printError(thrown: unknown, output: Output, start = 'berth up'): void {
  if (thrown instanceof Ended) return;
  // Commander has printed its own sentence already, through configureOutput.
  if (thrown instanceof CommanderError) return;
  const said = describe(thrown, start);
  if (output.format === 'json') {
    output.stderr.write(`${JSON.stringify({ error: said })}\n`);
    return;
  }
  output.note(`${output.errorStyle.red('error:')} ${clean(said.message)}`);
  if (said.hint !== undefined) output.note(said.hint);
}

interface Said {
  code: string;
  message: string;
  hint?: string;
  details?: Readonly<Record<string, unknown>>;
}

function describe(thrown: unknown, start: string): Said {
  if (thrown instanceof UsageError) {
    return {
      code: 'usage',
      message: thrown.message,
      ...(thrown.hint === undefined ? {} : { hint: thrown.hint }),
    };
  }
  if (thrown instanceof z.ZodError) {
    return { code: 'usage', message: thrown.issues.map(issueText).join('; ') };
  }
  if (thrown instanceof BerthError) {
    const hint = hintFor(thrown, start);
    // The findings follow with the file's own name, so the server's rendering of them is left out.
    const message = findingsOf(thrown).length > 0 ? thrown.message.replace(/:\n[^]*$/, '.') : wordsOf(thrown);
    return {
      code: thrown.code,
      message,
      ...(hint === undefined ? {} : { hint }),
      details: thrown.details,
    };
  }
  return { code: 'internal', message: messageOf(thrown) };
}

const Refused = z.object({
  in: z.enum(['path', 'query', 'body']),
  issues: z.array(z.object({ field: z.string(), message: z.string() })).min(1),
});

/** What of a request is wrong, in the words of the command line rather than those of the API. */
function wordsOf(error: BerthError): string {
  const refused = Refused.safeParse(error.details);
  if (error.code !== 'invalid_request' || !refused.success) return error.message;
  const sentences = refused.data.issues.map(({ field, message }) => {
    const [first = '', second = ''] = field.split('.');
    const option = OPTIONS[first];
    if (first === 'variables') return `--var ${second}: ${message}`;
    // "a tenant name must be …" says itself what it is about.
    if (/^an? [a-z]+ name must /.test(message)) return message;
    if (first === 'ttlMs') return `--ttl: ${timeLimit(message)}`;
    if (option !== undefined) return `${option}: ${message}`;
    return field === '' ? message : `${field}: ${message}`;
  });
  const text = sentences.join('; ');
  return `${text.startsWith('-') ? text : `${text.charAt(0).toUpperCase()}${text.slice(1)}`}.`;
}

/** The limit of a time, which the API counts in milliseconds. */
function timeLimit(message: string): string {
  const [, least, ms] = /(<=|>=)\s*(\d+)/.exec(message) ?? [];
  if (ms === undefined) return message;
  return `${timeWords(Number(ms))} at ${least === '<=' ? 'most' : 'least'}`;
}

function timeWords(ms: number): string {
  const [unit, letter] = (
    [
      [86_400_000, 'd'],
      [3_600_000, 'h'],
      [60_000, 'm'],
      [1_000, 's'],
    ] as const
  ).find(([size]) => ms >= size && ms % size === 0) ?? [1, 'ms'];
  return `${ms / unit}${letter}`;
}

/** Fields of the API as they are typed. */
const OPTIONS: Readonly<Record<string, string>> = {
  domains: '--domain',
  pool: '--pool',
  host: '--host',
  release: '--release',
  labels: '--label',
  to: '--to',
  reason: '--reason',
  tags: '--tag',
  limit: '--limit',
  lines: '--lines',
  kind: '--kind',
  compose: 'the Compose file',
  envFiles: 'the env files',
};

function issueText(issue: z.core.$ZodIssue): string {
  const where = issue.path.map(String).join('.');
  return where === '' ? issue.message : `${where}: ${issue.message}`;
}

function hintFor(error: BerthError, start: string): string | undefined {
  const findings = findingsOf(error);
  if (findings.length > 0) {
    const file = z.string().safeParse(error.details['file']);
    const lines = findingLines(file.data ?? 'compose.yaml', findings);
    // Without a file it is the template of an app, with the variables of one tenant.
    if (file.success) return lines;
    const secret = findings.some(({ message }) => message.includes('berth tenant secret set'));
    return `${lines}\n${secret ? 'A tenant that is made now gets its secrets with: --secret NAME' : 'A variable is set with: --var NAME=value'}`;
  }
  // The server often names the command already; saying it twice helps nobody.
  if (error.message.includes('"berth ')) return undefined;
  switch (error.code) {
    case 'unavailable':
      return `Check with: berth doctor. On this machine, start it with: ${start}`;
    case 'unauthenticated':
      return 'Log in again: berth login URL (the token is read from stdin).';
    case 'forbidden':
      return widerRole(error.message);
    case 'no_capacity':
      return 'See what each host has left: berth host list';
    case 'no_host':
      return 'Enrol one: berth host join-token';
    case 'observe_only':
      return 'Once you are sure this coordinator knows best: berth coordinator confirm-epoch';
    default:
      return undefined;
  }
}

/** The role that the refusal asks for, where it names one; or no scope, where that is what is in the way. */
function widerRole(refusal: string): string {
  if (refusal.includes('without a scope'))
    return 'An admin can make one: berth token create NAME --role ROLE, without --app, --pool and --tenant';
  const role = /needs the role ([a-z]+)/.exec(refusal)?.[1] ?? 'operator';
  return `An admin can make a token with a wider role: berth token create NAME --role ${role}`;
}

function findingsOf(error: BerthError): z.infer<typeof FindingList> {
  return FindingList.safeParse(error.details['findings']).data ?? [];
}

/** One `file:line:col path: message` each, as compilers write it. */
export function findingLines(
  file: string,
  findings: readonly { line: number; column: number; path: string; message: string }[],
): string {
  return findings
    .map((found) => {
      const path = found.path === '' ? '' : ` ${found.path}:`;
      // What is not in the file has no place in it.
      if (found.line === 0) return clean(`${file}:${path} ${found.message}`);
      return clean(`${file}:${found.line}:${found.column}:${path} ${found.message}`);
    })
    .join('\n');
}
