import { PassThrough } from 'node:stream';
import { createContext } from '../../src/context.ts';
import { exitCodeOf, type ExitCode } from '../../src/exit-codes.ts';
import { printError } from '../../src/output/errors.ts';
import { createProgram } from '../../src/program.ts';
import { keptOutput } from './sink.ts';

export interface Ran {
  code: ExitCode;
  out: string;
  err: string;
}

/** Runs one command line as main does, against a coordinator, without a terminal; what it says and ends with. */
export async function run(
  url: string,
  argv: readonly string[],
  options: {
    signal?: AbortSignal;
    tty?: 'terminal' | 'pipe';
    /** Of the terminal; 60 unless it is said. */
    columns?: number;
    cwd?: string;
    now?: () => number;
    env?: Record<string, string>;
  } = {},
): Promise<Ran> {
  const { output, written } = keptOutput(
    argv.includes('--json') ? 'json' : 'human',
    options.tty ?? 'pipe',
    options.columns,
  );
  const program = createProgram(output, (globals) =>
    createContext({
      output,
      env: { BERTH_TOKEN: 't', BERTH_URL: url, ...options.env },
      cwd: options.cwd ?? '/',
      clock: { now: options.now ?? (() => Date.now()) },
      signal: options.signal ?? new AbortController().signal,
      stdin: Object.assign(new PassThrough(), { isTTY: false }) as unknown as NodeJS.ReadStream,
      url: globals.url,
      tokenFile: globals.tokenFile,
    }),
  );
  let code: ExitCode = 0;
  try {
    await program.parseAsync(argv, { from: 'user' });
  } catch (thrown) {
    printError(thrown, output);
    code = exitCodeOf(thrown);
  }
  return { code, out: written.out, err: written.err };
}
