#!/usr/bin/env node
import { createContext } from './context.ts';
import { EXIT, exitCodeOf } from './exit-codes.ts';
import { homeOf } from './local/home.ts';
import { verbsOf } from './local/started-by.ts';
import { printError } from './output/errors.ts';
import { createOutput } from './output/output.ts';
import { createProgram } from './program.ts';

const clock = { now: () => Date.now() };

async function main(): Promise<void> {
  const argv = process.argv.slice(2);
  // Errors of the command line itself must come in the right format too, so this is known before it is parsed.
  const options = argv.slice(0, argv.includes('--') ? argv.indexOf('--') : undefined);
  const output = createOutput({
    format: options.includes('--json') ? 'json' : 'human',
    stdout: process.stdout,
    stderr: process.stderr,
    env: process.env,
  });
  const stop = new AbortController();
  let asked = 0;
  const onSignal = (): void => {
    asked += 1;
    if (asked === 1) stop.abort();
    // Whoever asks three times means it.
    if (asked >= 3) process.exit(EXIT.failed);
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  process.on('SIGHUP', onSignal);
  // A reader that goes away (`| head`) is no error.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    process.exit(EXIT.ok);
  });

  const program = createProgram(output, (globals) =>
    createContext({
      output,
      env: process.env,
      cwd: process.cwd(),
      clock,
      signal: stop.signal,
      stdin: process.stdin,
      url: globals.url,
      tokenFile: globals.tokenFile,
    }),
  );
  try {
    await program.parseAsync(argv, { from: 'user' });
  } catch (thrown) {
    if (!stop.signal.aborted || !isAbort(thrown))
      printError(thrown, output, verbsOf(process.env, homeOf(process.env, process.cwd())).start);
    process.exitCode = isAbort(thrown) ? EXIT.failed : exitCodeOf(thrown);
  } finally {
    process.off('SIGINT', onSignal);
    process.off('SIGTERM', onSignal);
    process.off('SIGHUP', onSignal);
  }
}

function isAbort(thrown: unknown): boolean {
  return thrown instanceof Error && thrown.name === 'AbortError';
}

await main();
