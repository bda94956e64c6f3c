import { spawn, type ChildProcess, type StdioOptions } from 'node:child_process';
import { BerthError } from '@berth/shared/domain/errors';
import { formsOf, longestFirst, redact } from '../system/redact.ts';
import { lastLines } from '../system/text.ts';

export interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
}

/** A program at work, joined to others by pipes. */
export interface Child {
  /** For sentences: `pg_dump`. */
  name: string;
  process: ChildProcess;
  /** Never rejects: a program that could not be started ended with code null and no signal. */
  ended: Promise<Ended>;
  /** Its last words, without secrets. */
  lastWords(count?: number): string[];
  /** SIGTERM, then SIGKILL: pg_dump uses the time to end its query at the server. */
  stop(): void;
}

export interface ChildOptions {
  env: Record<string, string>;
  stdio: [StdioOf, StdioOf];
  /** Taken out of its last words. */
  secret?: string | null;
}
type StdioOf = Extract<StdioOptions, readonly unknown[]>[number];

const KEEP_BYTES = 16 * 1024;
const GRACE_MS = 2_000;

/** Starts a program with its standard error kept. No shell; the caller sees to its end. */
export function startChild(file: string, args: readonly string[], options: ChildOptions): Child {
  const name = file.slice(file.lastIndexOf('/') + 1);
  const child = spawn(file, args, { env: options.env, stdio: [...options.stdio, 'pipe'], cwd: '/' });
  let said = '';
  let startError: Error | null = null;
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said = `${said}${text}`.slice(-KEEP_BYTES);
  });
  // A pipe that breaks because a program has ended is told by that program's end.
  child.stdin?.on('error', () => undefined);
  const ended = new Promise<Ended>((resolve) => {
    child.on('error', (error) => {
      startError = error;
      resolve({ code: null, signal: null });
    });
    // 'close' waits for standard output too, which whoever was given it may leave unread.
    child.on('exit', (code, signal) => {
      if (child.stderr === null || child.stderr.readableEnded || child.stderr.closed)
        resolve({ code, signal });
      else child.stderr.once('close', () => resolve({ code, signal }));
    });
  });
  const secrets = longestFirst(
    options.secret === null || options.secret === undefined
      ? []
      : formsOf('password', Buffer.from(options.secret)),
  );
  return {
    name,
    process: child,
    ended,
    lastWords(count = 5) {
      if (startError !== null) return [startError.message];
      return lastLines(redact(said, secrets), count, 400);
    },
    stop() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill('SIGTERM');
      setTimeout(() => child.kill('SIGKILL'), GRACE_MS).unref();
    },
  };
}

/** `ended with 1` or `was ended by SIGKILL`. */
export function howItEnded({ code, signal }: Ended): string {
  if (signal !== null) return `was ended by ${signal}`;
  return code === null ? 'could not be started' : `ended with ${code}`;
}

/** What to throw for a program that did not end well. */
export function failureOf(
  child: Pick<Child, 'name' | 'lastWords'>,
  ended: Ended,
  code: 'backup_dump_failed' | 'backup_restore_failed',
  where: string,
): BerthError {
  const lines = child.lastWords();
  // Both words come from libpq; the server is gone, which is another cause than what was asked of it.
  const gone = lines.some((line) =>
    /server closed the connection unexpectedly|could not connect|could not receive data|connection to server .* failed|terminating connection/.test(
      line,
    ),
  );
  const refused = lines.some((line) =>
    /permission denied|password authentication failed|must be owner|row-level security/.test(line),
  );
  const words = lines.length === 0 ? 'It said nothing.' : `Its last words: ${lines.join(' · ')}`;
  return new BerthError(
    refused ? 'backup_database_refused' : gone ? 'backup_database_unavailable' : code,
    `${child.name} ${howItEnded(ended)} for ${where}. ${words}`,
    { details: { program: child.name, lines } },
  );
}
