import { randomFillSync } from 'node:crypto';

const NONCE_BYTES = 24;
const NONCES = 256;

/** Fresh random text for challenges, 32 characters each; asking for randomness once for many costs a tenth. */
export function createNonces(): { next(): string } {
  const pool = Buffer.alloc(NONCE_BYTES * NONCES);
  let used = pool.length;
  return {
    next() {
      if (used === pool.length) {
        randomFillSync(pool);
        used = 0;
      }
      const nonce = pool.toString('base64url', used, used + NONCE_BYTES);
      // What was given out is not kept.
      pool.fill(0, used, used + NONCE_BYTES);
      used += NONCE_BYTES;
      return nonce;
    },
  };
}
