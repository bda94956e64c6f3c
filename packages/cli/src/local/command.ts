import { spawn } from 'node:child_process';

export interface CommandResult {
  /** Null when the program could not be started at all (not installed). */
  code: number | null;
  stdout: string;
  stderr: string;
}

const SYSTEM_PATH = '/usr/local/sbin:/usr/sbin:/sbin';

/** Runs a program by an argument array and waits, at most `timeoutMs`. Never throws: a missing program is code null. */
export function run(file: string, args: readonly string[], timeoutMs = 15_000): Promise<CommandResult> {
  return new Promise((resolve) => {
    // A user's PATH often leaves out the directories nft and nginx are in.
    const env = { ...process.env, PATH: `${process.env['PATH'] ?? ''}:${SYSTEM_PATH}`, LC_ALL: 'C' };
    const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'], env, timeout: timeoutMs });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => (stdout += chunk));
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => (stderr += chunk));
    child.on('error', (error) => resolve({ code: null, stdout, stderr: error.message }));
    child.on('close', (code) => resolve({ code: code ?? 1, stdout, stderr }));
  });
}

/** JSON of a program's stdout; undefined when it failed or printed something else. */
export async function runJson(file: string, args: readonly string[]): Promise<unknown> {
  const { code, stdout } = await run(file, args);
  if (code !== 0) return undefined;
  try {
    const parsed: unknown = JSON.parse(stdout.trim() === '' ? '[]' : stdout);
    return parsed;
  } catch {
    return undefined;
  }
}
