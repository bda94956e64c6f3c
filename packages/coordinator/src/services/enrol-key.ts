import { createPublicKey } from 'node:crypto';
import { BerthError } from '@berth/shared/domain/errors';

/** The key in one spelling, so that equal keys are equal text. Errors: `invalid_request`. */
export function canonicalKey(base64: string): string {
  try {
    const key = createPublicKey({ key: Buffer.from(base64, 'base64'), format: 'der', type: 'spki' });
    if (key.asymmetricKeyType === 'ed25519')
      return key.export({ format: 'der', type: 'spki' }).toString('base64');
  } catch {
    // Whatever OpenSSL says of it, the sentence below is what helps.
  }
  throw new BerthError(
    'invalid_request',
    'publicKey must be an Ed25519 public key: SPKI in DER, written in base64.',
    { details: { field: 'publicKey' } },
  );
}
