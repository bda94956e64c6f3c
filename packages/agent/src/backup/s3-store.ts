import type { BackupStore } from '@berth/shared/domain/backup';
import type { ObjectStore } from './object-store.ts';
import { s3Error } from './s3-errors.ts';

/** A store that throws what the SDK throws. */
export type S3Calls = Omit<ObjectStore, 'where'>;

/** The same with Berth's errors. */
export function s3Store(
  { bucket, endpoint, region }: Extract<BackupStore, { kind: 's3' }>,
  calls: S3Calls,
): ObjectStore {
  const where = `bucket ${bucket} at ${endpoint ?? region}`;
  async function told<T>(work: Promise<T>, what: string, signal: AbortSignal): Promise<T> {
    try {
      return await work;
    } catch (thrown) {
      throw s3Error(thrown, `${what} ${where}`, signal);
    }
  }
  async function* each<T>(all: AsyncIterable<T>, what: string, signal: AbortSignal): AsyncGenerator<T> {
    try {
      yield* all;
    } catch (thrown) {
      throw s3Error(thrown, `${what} ${where}`, signal);
    }
  }
  return {
    where,
    put: (key, body, putting) => told(calls.put(key, body, putting), `writing ${key} to`, putting.signal),
    get: (key, getting) => told(calls.get(key, getting), `reading ${key} from`, getting.signal),
    head: (key, signal) => told(calls.head(key, signal), `looking for ${key} in`, signal),
    list: (under, signal) => each(calls.list(under, signal), 'listing', signal),
    unfinished: (under, signal) =>
      each(calls.unfinished(under, signal), 'listing unfinished uploads of', signal),
    abandon: (one, signal) => told(calls.abandon(one, signal), `aborting an upload of ${one.key} to`, signal),
    close: () => calls.close(),
  };
}
