import { BerthError, messageOf } from '@berth/shared/domain/errors';
import { reasonOf } from '../system/clock.ts';
import { cleanLine } from '../system/text.ts';
import { MISMATCH, Said } from './s3-names.ts';

/** What the server found wrong with bytes it got, other than they were sent. */
const DAMAGED = new Set([
  'BadDigest',
  'XAmzContentSHA256Mismatch',
  'XAmzContentChecksumMismatch',
  'InvalidDigest',
]);
const MISSING = new Set(['NoSuchKey', 'NotFound']);
const PASSING = new Set(['SlowDown', 'RequestTimeout', 'InternalError', 'ServiceUnavailable', 'Throttling']);

/** The SDK's error as one of ours. Never with an address that holds a signature: the SDK signs headers. */
export function s3Error(thrown: unknown, what: string, signal: AbortSignal): Error {
  if (thrown instanceof BerthError) return thrown;
  if (signal.aborted) return reasonOf(signal);
  const said = Said.safeParse(thrown).data ?? {};
  const status = said.$metadata?.httpStatusCode;
  const name = said.name ?? said.code ?? 'Error';
  const message = cleanLine(messageOf(thrown), 300);
  // What the SDK says where a server gave no words.
  const words = message === 'UnknownError' ? 'without a word' : message;
  const details = { name, status, requestId: said.$metadata?.requestId };
  const error = (code: ConstructorParameters<typeof BerthError>[0], sentence: string): BerthError =>
    new BerthError(code, sentence, { cause: thrown, details });
  if (name === MISMATCH) return error('backup_mismatch', words);
  if (MISSING.has(name)) return error('not_found', `It is not there: ${what}.`);
  if (DAMAGED.has(name))
    return error(
      'backup_mismatch',
      `The store got other bytes than were sent (${name}) at ${what}: something on the way changes them. Nothing of it stays there.`,
    );
  if (/^Credentials|^Token|^Expired|^SSO/.test(name) && status === undefined)
    return error(
      'backup_store_refused',
      `This host has no credentials for ${what}: ${words}. Give its role or its environment some.`,
    );
  if (status === undefined || status >= 500 || PASSING.has(name) || name === 'TimeoutError')
    return error(
      'backup_store_unavailable',
      `The store did not do its part at ${what}: ${name === 'Error' ? '' : `${name}, `}${words}. It is tried again at the next time; nothing of it stays there.`,
    );
  return error(
    'backup_store_refused',
    `The store refused (${name}, ${status}) at ${what}: ${words}. Check bucket, rights, key and credentials.`,
  );
}
