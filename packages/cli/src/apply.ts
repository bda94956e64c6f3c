import type { ApiClient } from '@berth/shared/api/client';
import { wantedEnvFiles } from '@berth/shared/compose/environment';
import { BerthError } from '@berth/shared/domain/errors';
import { readFileSync } from 'node:fs';
import { basename, dirname, resolve } from 'node:path';
import { composeNameOf } from './compose-name.ts';
import { parseVariable } from './commands/parse.ts';
import { isMissing } from './config.ts';
import { UsageError } from './exit-codes.ts';
import { readText, whyUnreadable } from './read-text.ts';

/** What a release is made from, as it is said on a command line; `text` instead of the file's content. */
export interface ReleaseFiles {
  file: string;
  label: readonly string[];
  /** Variables of the release, each `NAME=VALUE`. */
  set: readonly string[];
  text?: string;
}

/**
 * Reads a Compose file and the env files it names, and hands them over as the app's newest release, its images as they
 * are named. Errors: UsageError for files that cannot be read; the coordinator's refusal, with the file's name in its
 * details.
 */
export async function applyApp(
  api: ApiClient,
  cwd: string,
  signal: AbortSignal,
  given: ReleaseFiles & { name?: string | undefined },
) {
  const body = readRelease(cwd, given);
  const name = given.name ?? composeNameOf(body.compose);
  if (name === undefined) {
    throw new UsageError(
      `${given.file} does not say the app's name.`,
      'Write `name: shop` at its top, or say --name shop.',
    );
  }
  return await namingFile(given.file, () => api.applyApp({ params: { app: name }, body }, signal));
}

/** The Compose file, the env files that it names, the labels and the release's variables. Errors: UsageError. */
export function readRelease(
  cwd: string,
  given: ReleaseFiles,
): {
  compose: string;
  envFiles: Record<string, string>;
  labels: Record<string, string>;
  set: Record<string, string>;
} {
  const set = Object.fromEntries(given.set.map((text) => parseVariable(text, '--set')));
  const path = resolve(cwd, given.file);
  const compose = given.text ?? readText(path, given.file);
  const envFiles: Record<string, string> = {};
  for (const wanted of wantedEnvFiles(compose)) {
    try {
      envFiles[wanted.path] = readFileSync(resolve(dirname(path), wanted.path), 'utf8');
    } catch (cause) {
      if (isMissing(cause) && !wanted.required) continue;
      throw new UsageError(
        `${basename(path)} names the env file ${wanted.path}, which could not be read: ${whyUnreadable(cause)}.`,
        'Its path is relative to the Compose file. Write `required: false` beside it if it may be missing.',
      );
    }
  }
  return { compose, envFiles, labels: Object.fromEntries(given.label.map(parseLabel)), set };
}

/** The coordinator does not know what the file is called: its refusals get the name here. */
export async function namingFile<T>(file: string, ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (thrown) {
    if (!(thrown instanceof BerthError)) throw thrown;
    throw new BerthError(thrown.code, thrown.message, {
      cause: thrown,
      details: { ...thrown.details, file },
    });
  }
}

function parseLabel(text: string): [string, string] {
  const at = text.indexOf('=');
  if (at <= 0) throw new UsageError(`--label ${text} is not NAME=VALUE.`);
  return [text.slice(0, at), text.slice(at + 1)];
}
