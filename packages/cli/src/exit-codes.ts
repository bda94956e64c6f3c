import { BerthError, type ErrorCode } from '@berth/shared/domain/errors';
import { CommanderError } from 'commander';
import { z } from 'zod';

/** What the process ends with. Documented, and never changed. */
export const EXIT = { ok: 0, failed: 1, usage: 2, unreachable: 3, notAllowed: 4 } as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** The command line itself was wrong: nothing was asked of anyone. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
  readonly hint: string | undefined;

  constructor(message: string, hint?: string) {
    super(message);
    this.hint = hint;
  }
}

/** The work was done as far as it went and everything has been printed; only the exit code is left to say. */
export class Ended extends Error {
  override readonly name = 'Ended';
  readonly exitCode: ExitCode;

  constructor(exitCode: ExitCode) {
    super(`ended with ${exitCode}`);
    this.exitCode = exitCode;
  }
}

/** The exit code of anything that was thrown. */
export function exitCodeOf(thrown: unknown): ExitCode {
  if (thrown instanceof Ended) return thrown.exitCode;
  if (thrown instanceof UsageError || thrown instanceof z.ZodError) return EXIT.usage;
  if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? EXIT.ok : EXIT.usage;
  if (thrown instanceof BerthError) return exitCodeOfError(thrown.code);
  return EXIT.failed;
}

function exitCodeOfError(code: ErrorCode): ExitCode {
  switch (code) {
    case 'unavailable':
      return EXIT.unreachable;
    case 'unauthenticated':
    case 'forbidden':
      return EXIT.notAllowed;
    case 'invalid_request':
    case 'invalid_compose':
      return EXIT.usage;
    default:
      return EXIT.failed;
  }
}
