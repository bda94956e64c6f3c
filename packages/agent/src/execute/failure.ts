import { BerthError, messageOf, type ErrorCode } from '@berth/shared/domain/errors';
import { titleOf, type Problem, type Step } from '@berth/shared/domain/step';
import { TENANT_LABEL } from '../system/labels.ts';
import { longestFirst, redact, secretsOf } from '../system/redact.ts';
import { cleanLine, lastLines } from '../system/text.ts';
import type { ExecuteDeps } from './context.ts';

/** A step that cannot succeed now: the code, the sentence, whose fault it is, and its last words. */
export class StepFailure extends Error {
  readonly code: ErrorCode;
  readonly service: string | null;
  readonly logTail: readonly string[];

  constructor(
    code: ErrorCode,
    message: string,
    about: { service?: string; logTail?: readonly string[]; cause?: unknown } = {},
  ) {
    super(message, { cause: about.cause });
    this.code = code;
    this.service = about.service ?? null;
    this.logTail = about.logTail ?? [];
  }
}

/** Whatever was thrown, as the report's plain words. */
export function problemOf(step: Step, thrown: unknown, now: number): Problem {
  const code = thrown instanceof StepFailure || thrown instanceof BerthError ? thrown.code : 'internal';
  return {
    code,
    message: cleanLine(messageOf(thrown), 2000) || 'The step failed without a word.',
    step: titleOf(step),
    service: thrown instanceof StepFailure ? thrown.service : null,
    logTail: thrown instanceof StepFailure ? [...thrown.logTail] : [],
    at: now,
  };
}

/** The container's last ten lines, without the secrets of its environment. Never fails: a problem without a log is better than none. */
export async function logTailOf(
  deps: ExecuteDeps,
  container: string,
  tty: boolean,
  signal: AbortSignal,
): Promise<string[]> {
  try {
    const { docker } = deps.system;
    const found = await docker.inspectContainer(container, { signal });
    // Without its environment nobody knows what must not be told.
    if (found === null) return [];
    const text = await docker.tailLogs(container, tty, 20, { signal });
    const known = await deps.system.secrets.of(found.labels[TENANT_LABEL]);
    return lastLines(redact(text, longestFirst([...known, ...secretsOf(found.environment)])), 10);
  } catch {
    return [];
  }
}

/** Runs one task per item side by side and waits for all of them; then the first failure, if any, is thrown. */
export async function forAll<T>(items: readonly T[], task: (item: T) => Promise<void>): Promise<void> {
  const results = await Promise.allSettled(items.map(task));
  for (const result of results) if (result.status === 'rejected') throw result.reason;
}
