import { statSync } from 'node:fs';
import { UsageError } from './exit-codes.ts';

/**
 * How open a file is that only its owner should read, such as 0644; null when nobody else can, and for what is no file on
 * a disk, such as a pipe. What cannot be looked at is for whoever reads it to say.
 */
function openness(path: string): string | null {
  try {
    const facts = statSync(path);
    return facts.isFile() && (facts.mode & 0o077) !== 0 ? `0${(facts.mode & 0o777).toString(8)}` : null;
  } catch {
    return null;
  }
}

/** A sentence for a file with a token that others can read; null when there is nothing to say. */
export function openTokenFile(path: string): string | null {
  const mode = openness(path);
  return mode === null
    ? null
    : `the token file ${path} can be read by others (mode ${mode}); make it yours alone: chmod 600 ${path}`;
}

/** Errors: UsageError for a private key that others can read, as ssh refuses one. */
export function requirePrivateKeyFile(path: string, shown: string): void {
  requirePrivateFile(path, shown, 'a private key', 'make another key');
}

/** Errors: UsageError for a file that others can read, with what it holds and what to do if they did. */
export function requirePrivateFile(path: string, shown: string, holds: string, remedy: string): void {
  const mode = openness(path);
  if (mode === null) return;
  throw new UsageError(
    `${shown} holds ${holds} and can be read by others (mode ${mode}).`,
    `Make it yours alone: chmod 600 ${shown}. If others may have read it, ${remedy}.`,
  );
}
