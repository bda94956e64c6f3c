import { createHash, timingSafeEqual, verify, type KeyObject } from 'node:crypto';
import { fromBER } from 'asn1js';
import { ContentInfo, SignedData, type SignerInfo } from 'pkijs';

/** A part of its own, with AWS's certificates, loaded when the first document is checked: most coordinators never check one. */

export { AWS_CERTIFICATES } from './aws-certificates.ts';

const SIGNED_DATA = '1.2.840.113549.1.7.2';
const DATA = '1.2.840.113549.1.7.1';
const CONTENT_TYPE = '1.2.840.113549.1.9.3';
const MESSAGE_DIGEST = '1.2.840.113549.1.9.4';
const HASHES: Readonly<Record<string, string>> = {
  '2.16.840.1.101.3.4.2.1': 'sha256',
  '2.16.840.1.101.3.4.2.2': 'sha384',
  '2.16.840.1.101.3.4.2.3': 'sha512',
};
/** rsaEncryption, and RSA with each of the hashes. */
const RSA = [
  '1.2.840.113549.1.1.1',
  '1.2.840.113549.1.1.11',
  '1.2.840.113549.1.1.12',
  '1.2.840.113549.1.1.13',
];
const SET = 0x31;

/**
 * Whether this PKCS #7 signature (DER) of this document was made with one of these keys. Certificates that it brings
 * along are not looked at: only pinned keys count. Answers why not, or null.
 */
export function pkcs7Fault(der: Uint8Array, document: Uint8Array, keys: readonly KeyObject[]): string | null {
  let signed: SignedData;
  try {
    const parsed = fromBER(copyOf(der));
    if (parsed.offset !== der.length) return 'has something behind its end';
    const info = new ContentInfo({ schema: parsed.result });
    if (info.contentType !== SIGNED_DATA) return 'is of another kind';
    signed = new SignedData({ schema: info.content });
  } catch {
    return 'cannot be read';
  }
  const { eContent, eContentType } = signed.encapContentInfo;
  if (eContentType !== DATA) return 'is over something else than data';
  // The document may be inside as well; then it must be this one.
  if (eContent !== undefined && !same(new Uint8Array(eContent.getValue()), document))
    return 'is over another document than this one';
  const [signer] = signed.signerInfos;
  if (signer === undefined || signed.signerInfos.length !== 1) return 'does not have exactly one signer';
  return signerFault(signer, document, keys);
}

function signerFault(signer: SignerInfo, document: Uint8Array, keys: readonly KeyObject[]): string | null {
  const hash = HASHES[signer.digestAlgorithm.algorithmId];
  if (hash === undefined || !RSA.includes(signer.signatureAlgorithm.algorithmId))
    return 'is not made with RSA and SHA-2';
  let payload = document;
  if (signer.signedAttrs !== undefined) {
    const { attributes } = signer.signedAttrs;
    const attribute = (type: string): unknown[] =>
      attributes.filter((each) => each.type === type).flatMap((each): unknown[] => each.values);
    const digests = attribute(MESSAGE_DIGEST).map(octets);
    const [digest] = digests;
    if (digest === undefined || digest === null || digests.length !== 1)
      return 'lacks the digest of the document';
    if (attribute(CONTENT_TYPE).length !== 1) return 'lacks the kind of what it is over';
    if (!same(digest, createHash(hash).update(document).digest()))
      return 'is over another document than this one';
    // What is signed is the attributes as a SET; in the message they stand under a tag of their own.
    const encoded = new Uint8Array(signer.signedAttrs.encodedValue.slice(0));
    encoded[0] = SET;
    payload = encoded;
  }
  const signature = new Uint8Array(signer.signature.getValue());
  return keys.some((key) => verified(hash, payload, key, signature))
    ? null
    : 'was not made with the key of this region';
}

function verified(hash: string, payload: Uint8Array, key: KeyObject, signature: Uint8Array): boolean {
  try {
    return verify(hash, payload, key, signature);
  } catch {
    return false;
  }
}

function octets(value: unknown): Uint8Array | null {
  if (typeof value !== 'object' || value === null || !('getValue' in value)) return null;
  const { getValue } = value;
  if (typeof getValue !== 'function') return null;
  const bytes: unknown = getValue.call(value);
  return bytes instanceof ArrayBuffer ? new Uint8Array(bytes) : null;
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}

function copyOf(bytes: Uint8Array): ArrayBuffer {
  const copy = new ArrayBuffer(bytes.length);
  new Uint8Array(copy).set(bytes);
  return copy;
}
