const begun = Date.now();

/**
 * One progress line with the seconds since the command began. On stderr, so that stdout stays free for what was asked
 * for (a JSON line, a test count).
 */
export function say(sentence) {
  const seconds = ((Date.now() - begun) / 1000).toFixed(1).padStart(6);
  process.stderr.write(`[${seconds}s] ${sentence}\n`);
}

/** An error that is meant for a person: printed as it is, without a stack. */
export class Sentence extends Error {}

/** Runs a script's main function; ends the process with what it returns, or 1 with the error's sentence. */
export function main(run) {
  run().then(
    (code) => {
      process.exitCode = code ?? 0;
    },
    (error) => {
      say(error instanceof Sentence ? error.message : (error?.stack ?? String(error)));
      process.exitCode = 1;
    },
  );
}
