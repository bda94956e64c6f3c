import { BerthError } from '@berth/shared/domain/errors';
import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import { endProcess, forgetProcess, identify, recordProcess, type ProcessIdentity } from './process.ts';

export interface ChildOptions {
  name: string;
  /** Node's own options. */
  flags?: readonly string[];
  script: string;
  args: readonly string[];
  logFile: string;
  processFile: string;
  env: NodeJS.ProcessEnv;
  readyMs: number;
  /** Stops waiting for it to be ready. */
  signal: AbortSignal;
}

export interface Child {
  readonly identity: ProcessIdentity;
  /** The JSON line it printed when it was ready. */
  readonly ready: Record<string, unknown>;
  /** Resolves when it has ended, with how. */
  readonly ended: Promise<string>;
  stop(): Promise<void>;
}

/**
 * Starts a daemon and waits for its `{"event":"ready",…}` line. Its log goes to a file. It runs in a session of its
 * own, so that Ctrl-C in a terminal reaches it through us and in order. Errors: BerthError with its last log lines.
 */
export async function startChild(options: ChildOptions): Promise<Child> {
  const log = openSync(options.logFile, 'a', 0o600);
  const spawned = spawn(process.execPath, [...(options.flags ?? []), options.script, ...options.args], {
    stdio: ['ignore', 'pipe', log],
    detached: true,
    env: options.env,
  });
  const { stdout } = spawned;
  let end: string | undefined;
  const ended = new Promise<string>((resolve) => {
    const finish = (how: string): void => {
      if (end !== undefined) return;
      end = how;
      forgetProcess(options.processFile);
      closeSync(log);
      resolve(how);
    };
    spawned.once('error', (error) => finish(error.message));
    // Nginx may have inherited the pipe and keep it open, so the end of the process counts, not that of its output.
    spawned.once('exit', (code, signal) => finish(signal ?? `exit code ${code ?? 'unknown'}`));
  });
  if (spawned.pid !== undefined) recordProcess(options.processFile, spawned.pid);
  const identity = spawned.pid === undefined ? undefined : identify(spawned.pid);

  const ready = await new Promise<Record<string, unknown> | string>((resolve) => {
    let buffered = '';
    const timer = setTimeout(
      () => resolve(`was not ready after ${options.readyMs / 1000} s`),
      options.readyMs,
    );
    options.signal.addEventListener('abort', () => resolve('was stopped'), { once: true });
    void ended.then((how) => resolve(`ended at once (${how})`));
    stdout?.setEncoding('utf8').on('data', (chunk: string) => {
      buffered += chunk;
      for (let at = buffered.indexOf('\n'); at >= 0; at = buffered.indexOf('\n')) {
        const line = buffered.slice(0, at);
        buffered = buffered.slice(at + 1);
        const event = readyEvent(line);
        if (event !== undefined) {
          clearTimeout(timer);
          resolve(event);
        } else if (end === undefined) {
          writeSync(log, `${line}\n`);
        }
      }
    });
  });
  if (typeof ready === 'string' || identity === undefined) {
    if (identity !== undefined) await endProcess(identity, 5000);
    options.signal.throwIfAborted();
    const why = typeof ready === 'string' ? ready : 'could not be started';
    throw new BerthError('unavailable', `The ${options.name} ${why}. Its log is ${options.logFile}.`, {
      details: { logTail: lastLines(options.logFile, 10) },
    });
  }
  return {
    identity,
    ready,
    ended,
    stop: async () => {
      await endProcess(identity, 20_000);
      forgetProcess(options.processFile);
    },
  };
}

function readyEvent(line: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(line);
    if (typeof value !== 'object' || value === null || !('event' in value) || value.event !== 'ready')
      return undefined;
    return { ...value };
  } catch {
    return undefined;
  }
}

/** The end of a log file, for a person. */
export function lastLines(file: string, count: number): string[] {
  try {
    return readFileSync(file, 'utf8').trimEnd().split('\n').slice(-count);
  } catch {
    return [];
  }
}
