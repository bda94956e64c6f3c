import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';

export const run = promisify(execFile);

export interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
}

/** A program that a test started; it is killed when the test's process goes. */
export interface Running {
  readonly pid: number;
  /** The first line on its standard output, as JSON; rejects when it ends before. */
  readonly ready: Promise<Record<string, unknown>>;
  readonly ended: Promise<Ended>;
  readonly state: () => 'running' | 'ended';
  /** Sends the signal and waits for the end. */
  kill(signal: NodeJS.Signals): Promise<Ended>;
}

const children = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL');
});

/** Starts a program. Its log goes to a file, so that it outlives nobody's pipe. */
export function start(
  argv: readonly [string, ...string[]],
  options: { logFile: string; env?: NodeJS.ProcessEnv },
): Running {
  const [program, ...args] = argv;
  const log = openSync(options.logFile, 'a');
  const child = spawn(program, args, {
    stdio: ['ignore', 'pipe', log],
    env: { ...quietEnv(), ...options.env },
    cwd: '/',
  });
  closeSync(log);
  children.add(child);
  let over: Ended | null = null;
  const ended = new Promise<Ended>((resolve) => {
    child.on('error', () => resolve({ code: -1, signal: null }));
    child.on('exit', (code, signal) => {
      over = { code, signal };
      children.delete(child);
      resolve(over);
    });
  });
  const output = child.stdout;
  if (output === null) throw new Error('a piped stdout is never null');
  const ready = new Promise<Record<string, unknown>>((resolve, reject) => {
    createInterface({ input: output }).on('line', (line) => {
      const parsed: unknown = JSON.parse(line);
      if (typeof parsed === 'object' && parsed !== null) resolve({ ...parsed });
    });
    void ended.then(({ code, signal }) =>
      reject(
        new Error(
          `${args[0] ?? program} ended (${signal ?? code}) before it was ready:\n${tailOf(options.logFile)}`,
        ),
      ),
    );
  });
  ready.catch(() => undefined);
  return {
    pid: child.pid ?? -1,
    ready,
    ended,
    state: () => (over === null ? 'running' : 'ended'),
    async kill(signal) {
      if (over === null) child.kill(signal);
      return ended;
    },
  };
}

/** The last lines of a log, for the message of a test that waited in vain. */
export function tailOf(path: string, lines = 25): string {
  try {
    return readFileSync(path, 'utf8').trim().split('\n').slice(-lines).join('\n');
  } catch {
    return '(no log)';
  }
}

/** Settings of this shell are not the programs' own. */
function quietEnv(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('BERTH_')));
}
