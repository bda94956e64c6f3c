import { spawn } from 'node:child_process';
import { BerthError } from '@berth/shared/domain/errors';
import { reasonOf } from './clock.ts';
import { cleanLine } from './text.ts';

export interface CommandOptions {
  signal?: AbortSignal | undefined;
  /** Milliseconds until the command is killed. */
  timeoutMs?: number;
  /** Written to its standard input, which is then closed. */
  input?: string;
  /** More output than this many bytes is an error; nothing is kept beyond it. */
  maxBytes?: number;
}

export interface CommandResult {
  code: number;
  stdout: string;
  stderr: string;
}

const DEFAULT_TIMEOUT_MS = 15_000;
const DEFAULT_MAX_BYTES = 32 * 1024 * 1024;

/**
 * Runs a program by argument array: no shell, a time-out, bounded output. A non-zero exit is a result, not an error.
 * Throws `unavailable` when it cannot be started, `timeout`, `internal` when it says too much, or the signal's reason.
 */
export function runCommand(
  file: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<CommandResult> {
  const { signal, timeoutMs = DEFAULT_TIMEOUT_MS, input, maxBytes = DEFAULT_MAX_BYTES } = options;
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) {
      reject(reasonOf(signal));
      return;
    }
    const child = spawn(file, args, { stdio: ['pipe', 'pipe', 'pipe'], shell: false });
    const chunks: { stdout: Buffer[]; stderr: Buffer[] } = { stdout: [], stderr: [] };
    let bytes = 0;
    let failure: Error | null = null;

    const give = (error: Error): void => {
      failure ??= error;
      child.kill('SIGKILL');
    };
    const onAbort = (): void => {
      if (signal !== undefined) give(reasonOf(signal));
    };
    const timer = setTimeout(() => {
      give(new BerthError('timeout', `${file} did not end within ${timeoutMs} ms and was killed.`));
    }, timeoutMs);
    signal?.addEventListener('abort', onAbort, { once: true });

    const collect = (into: Buffer[]) => (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > maxBytes) give(new BerthError('internal', `${file} wrote more than ${maxBytes} bytes.`));
      else into.push(chunk);
    };
    child.stdout.on('data', collect(chunks.stdout));
    child.stderr.on('data', collect(chunks.stderr));
    // A program that ends without reading all its input is judged by its exit code, not by the broken pipe.
    child.stdin.on('error', () => {});
    child.stdin.end(input ?? '');

    const finish = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
    };
    child.on('error', (error: NodeJS.ErrnoException) => {
      finish();
      reject(
        failure ??
          new BerthError(
            'unavailable',
            error.code === 'ENOENT'
              ? `The program ${file} is not installed on this host.`
              : `The program ${file} could not be started: ${error.message}.`,
            { cause: error },
          ),
      );
    });
    child.on('close', (code) => {
      finish();
      if (failure !== null) reject(failure);
      else
        resolve({
          code: code ?? -1,
          stdout: Buffer.concat(chunks.stdout).toString('utf8'),
          stderr: Buffer.concat(chunks.stderr).toString('utf8'),
        });
    });
  });
}

/** Like `runCommand`, and a non-zero exit throws `internal` with the program's own words. */
export async function runChecked(
  file: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<string> {
  const result = await runCommand(file, args, options);
  if (result.code === 0) return result.stdout;
  const words = cleanLine(result.stderr.trim() === '' ? result.stdout : result.stderr, 600);
  throw new BerthError('internal', `${file} ${args[0] ?? ''} failed (exit ${result.code}): ${words}`);
}
