import { createPublicKey, verify } from 'node:crypto';
import { placeText, type SecretPlace } from '../domain/secret.ts';
import { hpkeOpen, hpkeSeal, publicKeyOf } from './hpke.ts';
import type { KeyObject } from 'node:crypto';

/** The fact of a hello under which a host shows the key that secrets are sealed to. */
export const SEALING_FACT = 'sealing';
const INFO = Buffer.from('berth-secret-to-host-v1');

/** What a host signs with its identity, so that nobody who only writes to the coordinator's database can slip in a key. */
export function sealingText(host: string, publicKey: string): string {
  return `berth-sealing-key-v1\n${host}\n${publicKey}`;
}

/** Public key and signature, base64, as the fact has them. */
export function sealingFact(publicKey: string, signature: string): string {
  return `${publicKey}.${signature}`;
}

/** The raw key of a fact when the host with this identity (Ed25519, SPKI DER, base64) has signed it; else null. */
export function sealingKeyOf(fact: string | undefined, host: string, identity: string): Buffer | null {
  const [publicKey, signature, ...more] = (fact ?? '').split('.');
  if (publicKey === undefined || signature === undefined || more.length > 0) return null;
  try {
    const key = createPublicKey({ key: Buffer.from(identity, 'base64'), format: 'der', type: 'spki' });
    const text = Buffer.from(sealingText(host, publicKey));
    if (!verify(null, text, key, Buffer.from(signature, 'base64'))) return null;
    const raw = Buffer.from(publicKey, 'base64');
    publicKeyOf(raw);
    return raw;
  } catch {
    return null;
  }
}

/** Seals a value to one host's key, bound to what it is and whom it is for. Base64. */
export function sealToHost(key: Buffer, host: string, place: SecretPlace, value: Buffer): string {
  const aad = Buffer.from(placeText('to-host', place, [host]));
  return hpkeSeal(publicKeyOf(key), { info: INFO, aad, text: value }).toString('base64');
}

/** Errors: when it is another's, of another secret, or was altered. */
export function openAtHost(key: KeyObject, host: string, place: SecretPlace, box: string): Buffer {
  const aad = Buffer.from(placeText('to-host', place, [host]));
  return hpkeOpen(key, { info: INFO, aad, box: Buffer.from(box, 'base64') });
}
