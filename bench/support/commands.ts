import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const execute = promisify(execFile);

/** Runs a program by argument array and returns what it wrote. Rejects when it fails. */
export async function run(file: string, args: readonly string[], signal?: AbortSignal): Promise<string> {
  const { stdout } = await execute(file, [...args], {
    maxBuffer: 32 * 1024 * 1024,
    ...(signal === undefined ? {} : { signal }),
  });
  return stdout;
}

/** The same, where a failure is an answer. */
export async function attempt(file: string, args: readonly string[]): Promise<string | null> {
  return await run(file, args).catch(() => null);
}
