import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { signSigners, type PoolSigners, type SignedSigners } from '@berth/shared/domain/signers';

export interface SignerPair {
  name: string;
  privateKey: KeyObject;
  publicKey: string;
}

export function signerPair(name: string): SignerPair {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  return {
    name,
    privateKey,
    publicKey: publicKey.export({ format: 'der', type: 'spki' }).toString('base64'),
  };
}

/** A statement of the pool `prod` that names `keys`, signed by `by`. */
export function statementOf(
  version: number,
  keys: readonly SignerPair[],
  by: readonly SignerPair[],
  more: Partial<PoolSigners> = {},
): SignedSigners {
  const named = keys.map(({ name, publicKey }) => ({ name, publicKey }));
  const signers = { pool: 'prod', version, required: true, keys: named, ...more };
  const made = by.map(({ name, privateKey }) => ({ key: name, value: signSigners(privateKey, signers) }));
  return { signers, by: made };
}
