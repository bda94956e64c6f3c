import { createPublicKey, verify } from 'node:crypto';
import { challengeText } from '@berth/shared/protocol/messages';

/** Whether the holder of this key (Ed25519, SPKI DER, base64) signed this host's challenge. A broken key has signed nothing. */
export function signedChallenge(publicKey: string, host: string, nonce: string, signature: string): boolean {
  try {
    const key = createPublicKey({ key: Buffer.from(publicKey, 'base64'), format: 'der', type: 'spki' });
    if (key.asymmetricKeyType !== 'ed25519') return false;
    const text = Buffer.from(challengeText(host, nonce), 'utf8');
    return verify(null, text, key, Buffer.from(signature, 'base64'));
  } catch {
    return false;
  }
}
