import type { BackupStore } from '@berth/shared/domain/backup';
import { BerthError, messageOf, unreachable } from '@berth/shared/domain/errors';
import { reasonOf } from '../system/clock.ts';
import { openDirectoryStore } from './directory-store.ts';
import type { ObjectStore, StoreOptions } from './object-store.ts';
import { s3Store } from './s3-store.ts';

/** The SDK of S3 is loaded when a store of that kind is opened. Credentials are what the SDK finds. */
export async function openStore(store: BackupStore, options: StoreOptions = {}): Promise<ObjectStore> {
  switch (store.kind) {
    case 'directory':
      return openDirectoryStore(store.path);
    case 's3': {
      const { openS3 } = await import('./s3-sdk.ts');
      return s3Store(store, openS3(store, options));
    }
    default:
      return unreachable(store);
  }
}

/** Where a backup's object and its manifest lie in every store. */
export function keysOf(of: { app: string; tenant: string; backup: string }): {
  object: string;
  manifest: string;
} {
  const under = `${of.app}/${of.tenant}/${of.backup}`;
  return { object: `${under}.dump.zst`, manifest: `${under}.json` };
}

/** What to throw when an object stopped coming in the middle. */
export function readError(thrown: unknown, key: string, store: ObjectStore, signal: AbortSignal): Error {
  if (signal.aborted) return reasonOf(signal);
  if (thrown instanceof BerthError) return thrown;
  return new BerthError(
    'backup_store_unavailable',
    `Reading ${key} from ${store.where} was cut off: ${messageOf(thrown)}. Try again.`,
    { cause: thrown },
  );
}
