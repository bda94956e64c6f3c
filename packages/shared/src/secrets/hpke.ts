import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  type KeyObject,
} from 'node:crypto';

/**
 * RFC 9180, base mode: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM (AES-128-GCM beside it, since the RFC's own
 * test vectors for X25519 use that). One message per key, so the nonce is the base nonce.
 */
export type HpkeAead = 'aes-256-gcm' | 'aes-128-gcm';

const AEAD = { 'aes-128-gcm': { id: 1, bytes: 16 }, 'aes-256-gcm': { id: 2, bytes: 32 } } as const;
const KEM_ID = Buffer.from([0x00, 0x20]);
const KDF_ID = Buffer.from([0x00, 0x01]);
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const RAW_BYTES = 32;
const SPKI = Buffer.from('302a300506032b656e032100', 'hex');
const PKCS8 = Buffer.from('302e020100300506032b656e04220420', 'hex');
const EMPTY = Buffer.alloc(0);

/** A raw X25519 public key, 32 bytes. Errors: when it is not one. */
export function publicKeyOf(raw: Buffer): KeyObject {
  if (raw.length !== RAW_BYTES) throw new Error('an X25519 public key has 32 bytes');
  return createPublicKey({ key: Buffer.concat([SPKI, raw]), format: 'der', type: 'spki' });
}

export function privateKeyOf(raw: Buffer): KeyObject {
  if (raw.length !== RAW_BYTES) throw new Error('an X25519 private key has 32 bytes');
  return createPrivateKey({ key: Buffer.concat([PKCS8, raw]), format: 'der', type: 'pkcs8' });
}

export function rawPublic(key: KeyObject): Buffer {
  const shown = key.type === 'private' ? createPublicKey(key) : key;
  return shown.export({ type: 'spki', format: 'der' }).subarray(-RAW_BYTES);
}

export function rawPrivate(key: KeyObject): Buffer {
  return key.export({ type: 'pkcs8', format: 'der' }).subarray(-RAW_BYTES);
}

/** Encapsulated key and ciphertext with its tag, one after the other. `ephemeral` is for test vectors only. */
export function hpkeSeal(
  recipient: KeyObject,
  { info, aad, text, aead = 'aes-256-gcm' }: { info: Buffer; aad: Buffer; text: Buffer; aead?: HpkeAead },
  ephemeral: KeyObject = generateKeyPairSync('x25519').privateKey,
): Buffer {
  const enc = rawPublic(ephemeral);
  const dh = diffieHellman({ privateKey: ephemeral, publicKey: recipient });
  const { key, nonce } = schedule(kemSecret(dh, enc, rawPublic(recipient)), info, aead);
  const cipher = createCipheriv(aead, key, nonce);
  cipher.setAAD(aad);
  return Buffer.concat([enc, cipher.update(text), cipher.final(), cipher.getAuthTag()]);
}

/** Errors: when it was sealed to another key, for another purpose, or was altered. */
export function hpkeOpen(
  recipient: KeyObject,
  { info, aad, box, aead = 'aes-256-gcm' }: { info: Buffer; aad: Buffer; box: Buffer; aead?: HpkeAead },
): Buffer {
  if (box.length < RAW_BYTES + TAG_BYTES) throw new Error('a sealed box is longer than this');
  const enc = box.subarray(0, RAW_BYTES);
  const dh = diffieHellman({ privateKey: recipient, publicKey: publicKeyOf(enc) });
  const { key, nonce } = schedule(kemSecret(dh, enc, rawPublic(recipient)), info, aead);
  const decipher = createDecipheriv(aead, key, nonce, { authTagLength: TAG_BYTES });
  decipher.setAAD(aad);
  decipher.setAuthTag(box.subarray(-TAG_BYTES));
  return Buffer.concat([decipher.update(box.subarray(RAW_BYTES, -TAG_BYTES)), decipher.final()]);
}

function kemSecret(dh: Buffer, enc: Buffer, recipient: Buffer): Buffer {
  const suite = Buffer.concat([Buffer.from('KEM'), KEM_ID]);
  const prk = labeledExtract(suite, EMPTY, 'eae_prk', dh);
  return labeledExpand(suite, prk, 'shared_secret', Buffer.concat([enc, recipient]), 32);
}

function schedule(secret: Buffer, info: Buffer, aead: HpkeAead): { key: Buffer; nonce: Buffer } {
  const { id, bytes } = AEAD[aead];
  const suite = Buffer.concat([Buffer.from('HPKE'), KEM_ID, KDF_ID, Buffer.from([0x00, id])]);
  const context = Buffer.concat([
    Buffer.from([0x00]),
    labeledExtract(suite, EMPTY, 'psk_id_hash', EMPTY),
    labeledExtract(suite, EMPTY, 'info_hash', info),
  ]);
  const prk = labeledExtract(suite, secret, 'secret', EMPTY);
  return {
    key: labeledExpand(suite, prk, 'key', context, bytes),
    nonce: labeledExpand(suite, prk, 'base_nonce', context, NONCE_BYTES),
  };
}

const VERSION = Buffer.from('HPKE-v1');

function labeledExtract(suite: Buffer, salt: Buffer, label: string, input: Buffer): Buffer {
  // HKDF-Extract with no salt is one with as many zeros as a hash has bytes.
  const key = salt.length === 0 ? Buffer.alloc(32) : salt;
  return createHmac('sha256', key)
    .update(Buffer.concat([VERSION, suite, Buffer.from(label), input]))
    .digest();
}

function labeledExpand(suite: Buffer, prk: Buffer, label: string, info: Buffer, length: number): Buffer {
  const size = Buffer.alloc(2);
  size.writeUInt16BE(length);
  const labeled = Buffer.concat([size, VERSION, suite, Buffer.from(label), info]);
  // No length here is above one hash, so one block is all.
  return createHmac('sha256', prk)
    .update(Buffer.concat([labeled, Buffer.from([1])]))
    .digest()
    .subarray(0, length);
}
