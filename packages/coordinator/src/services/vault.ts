import { BerthError } from '@berth/shared/domain/errors';
import type { SecretPlace } from '@berth/shared/domain/secret';

/** A value as it is kept: encrypted with a key of its own, which is wrapped by the key that `key` names. Base64. */
export interface SealedValue {
  key: string;
  wrapped: string;
  box: string;
}

/**
 * Encrypts and decrypts what is kept, and knows where its keys are. Each value is bound to its tenant, name and version.
 * Errors of all: `secret_unavailable`, which names the key and the secret; never an empty value.
 */
export interface Vault {
  seal(place: SecretPlace, value: Buffer): Promise<SealedValue>;
  open(place: SecretPlace, sealed: SealedValue): Promise<Buffer>;
  /** The same value under the key that is used now; the box stays as it is. */
  rewrap(place: SecretPlace, sealed: SealedValue): Promise<SealedValue>;
  /** The name of the key that new values are wrapped with; makes a first one when `used` says that there was never one. */
  current(used: readonly string[]): Promise<string>;
  /** Makes a new key the one that is used from now on. KMS rotates its own: then it only answers its name. */
  rotate(): Promise<string>;
  /** Old keys that nothing is wrapped with any more are forgotten. */
  forgetAllBut(used: readonly string[]): Promise<void>;
  /** Of these keys, those that cannot be used, and why. */
  missing(used: readonly string[]): Promise<ReadonlyMap<string, string>>;
}

function none(): Promise<never> {
  return Promise.reject(
    new BerthError('secret_unavailable', 'This coordinator keeps no secrets: it has no key for them.'),
  );
}

/** Of a coordinator that was given no key. */
export const NO_VAULT: Vault = {
  seal: none,
  open: none,
  rewrap: none,
  current: none,
  rotate: none,
  forgetAllBut: none,
  missing: (used) =>
    Promise.resolve(new Map(used.map((key) => [key, 'this coordinator has no key'] as const))),
};
