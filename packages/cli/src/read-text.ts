import { messageOf } from '@berth/shared/domain/errors';
import { readFileSync } from 'node:fs';
import { UsageError } from './exit-codes.ts';

/** A text file that was named on the command line. Errors: UsageError that begins with `what` and says why. */
export function readText(path: string, what: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw new UsageError(`${what} could not be read: ${whyUnreadable(cause)}.`);
  }
}

/** Why a file could not be read, in words. */
export function whyUnreadable(cause: unknown): string {
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
  switch (code) {
    case 'ENOENT':
    case 'ENOTDIR':
      return 'there is no such file';
    case 'EISDIR':
      return 'it is a directory';
    case 'EACCES':
    case 'EPERM':
      return 'you may not read it';
    default:
      return messageOf(cause);
  }
}
