import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import type { BackupStore } from '@berth/shared/domain/backup';
import { BerthError, messageOf, unreachable } from '@berth/shared/domain/errors';
import { reasonOf } from '../system/clock.ts';
import { openDirectoryStore } from './directory-store.ts';

/** What a store says of an object that it has. */
export interface Stored {
  bytes: number;
  /**
   * Hex SHA-256 of the whole object where the store answers for it: it keeps checksums of its own, and they are those of
   * the very bytes that were sent. Null where it keeps none; then only reading everything back tells.
   */
  sha256: string | null;
}

/** An object that was begun and is not there yet. */
export interface Unfinished {
  key: string;
  /** The store's own name for this try. */
  upload: string;
  /** Milliseconds since 1970, by the store's clock. */
  begunAt: number;
}

export interface PutOptions {
  /** How large it may get, roughly: decides how large the parts are. */
  expectedBytes?: number;
  signal: AbortSignal;
}

/**
 * Where backups are. Keys are relative, with `/` between their parts. Errors of all: `backup_store_unavailable` (no
 * answer, cut off, may pass), `backup_store_refused` (it said no), `backup_mismatch`.
 */
export interface ObjectStore {
  /** How sentences name it: `bucket berth-backups at s3.eu-central-1`. */
  readonly where: string;
  /**
   * Writes an object from beginning to end. It is there whole or not at all: when the body fails or the signal aborts,
   * nothing of it stays.
   */
  put(key: string, body: AsyncIterable<Buffer>, options: PutOptions): Promise<Stored>;
  /** From `from` on, or all of it. Errors also: `not_found`. */
  get(key: string, options: { from?: number; signal: AbortSignal }): Promise<Readable>;
  /** Null when there is none. */
  head(key: string, signal: AbortSignal): Promise<{ bytes: number } | null>;
  list(under: string, signal: AbortSignal): AsyncIterable<{ key: string; bytes: number }>;
  /** Uploads below a key that were begun and neither completed nor aborted. */
  unfinished(under: string, signal: AbortSignal): AsyncIterable<Unfinished>;
  /** Takes away what one of them left. One that is gone already is fine. */
  abandon(one: Unfinished, signal: AbortSignal): Promise<void>;
  close(): void;
}

export interface StoreOptions {
  /** How long a store may be silent, in ms. */
  silenceMs?: number;
  /** Tries of each request before the store counts as unavailable. */
  attempts?: number;
}

/** The SDK of S3 is loaded when a store of that kind is opened. Credentials are what the SDK finds. */
export async function openStore(store: BackupStore, options: StoreOptions = {}): Promise<ObjectStore> {
  switch (store.kind) {
    case 'directory':
      return openDirectoryStore(store.path);
    case 's3': {
      const { openS3Store } = await import('./s3-sdk.ts');
      return openS3Store(store, options);
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

/** Passes bytes on, and knows how many there were and their SHA-256. */
export class Measure {
  bytes = 0;
  readonly #hash = createHash('sha256');
  readonly #told: (bytes: number) => void;

  constructor(told: (bytes: number) => void = () => undefined) {
    this.#told = told;
  }

  add(chunk: Buffer): void {
    this.bytes += chunk.length;
    this.#hash.update(chunk);
    this.#told(this.bytes);
  }

  async *of(body: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const chunk of body) {
      this.add(chunk);
      yield chunk;
    }
  }

  /** Once, at the end. */
  sha256(): string {
    return this.#hash.digest('hex');
  }
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
