import type { Readable } from 'node:stream';

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
