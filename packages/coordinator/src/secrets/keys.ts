import type { SecretPlace } from '@berth/shared/domain/secret';

/** A key for one value, in the open and wrapped. */
export interface DataKey {
  plain: Buffer;
  wrapped: string;
  /** The key that it is wrapped with. */
  key: string;
}

/** Keys that wrap the keys of values: a file's, or KMS's. */
export interface KeyHolder {
  /** Whether a key of this name is one of its. */
  holds(key: string): boolean;
  current(used: readonly string[]): Promise<string>;
  generate(place: SecretPlace): Promise<DataKey>;
  wrap(place: SecretPlace, plain: Buffer): Promise<DataKey>;
  /** Errors: why not, in words; the caller says of what. */
  unwrap(place: SecretPlace, key: string, wrapped: string): Promise<Buffer>;
  rotate(): Promise<string>;
  forgetAllBut(used: readonly string[]): Promise<void>;
  /** Why a key of this name cannot be used; null when it can, as far as is known without using it. */
  trouble(key: string): Promise<string | null>;
}
