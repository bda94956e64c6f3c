import { createHash, createPublicKey, sign, type KeyObject } from 'node:crypto';

/** As much of DER as it takes to write a certificate and a signature, independent of what reads them. */

const SHA256_RSA = '1.2.840.113549.1.1.11';
const RSA = '1.2.840.113549.1.1.1';
const SHA256 = '2.16.840.1.101.3.4.2.1';
const DATA = '1.2.840.113549.1.7.1';
const SIGNED_DATA = '1.2.840.113549.1.7.2';
const CONTENT_TYPE = '1.2.840.113549.1.9.3';
const MESSAGE_DIGEST = '1.2.840.113549.1.9.4';

export function tlv(tag: number, ...parts: Uint8Array[]): Buffer {
  const body = Buffer.concat(parts);
  if (body.length < 128) return Buffer.concat([Buffer.from([tag, body.length]), body]);
  const length: number[] = [];
  for (let rest = body.length; rest > 0; rest = Math.floor(rest / 256)) length.unshift(rest % 256);
  return Buffer.concat([Buffer.from([tag, 0x80 | length.length, ...length]), body]);
}

/** The other way to write a length: none at all, and an end. AWS writes the outer parts of its signatures so. */
function indefinite(tag: number, ...parts: Uint8Array[]): Buffer {
  return Buffer.concat([Buffer.from([tag, 0x80]), ...parts, Buffer.from([0, 0])]);
}

const seq = (...parts: Uint8Array[]): Buffer => tlv(0x30, ...parts);
const set = (...parts: Uint8Array[]): Buffer => tlv(0x31, ...parts);
const int = (value: number): Buffer => tlv(0x02, Buffer.from([value]));
const octets = (bytes: Uint8Array): Buffer => tlv(0x04, bytes);
const explicit = (part: Uint8Array): Buffer => tlv(0xa0, part);
const NULL = Buffer.from([0x05, 0]);

function oid(text: string): Buffer {
  const [first = 0, second = 0, ...rest] = text.split('.').map(Number);
  const bytes = [first * 40 + second];
  for (const value of rest) {
    const septets: number[] = [];
    for (let left = value; left > 0 || septets.length === 0; left = Math.floor(left / 128))
      septets.unshift((left % 128) | (septets.length === 0 ? 0 : 0x80));
    bytes.push(...septets);
  }
  return tlv(0x06, Buffer.from(bytes));
}

const name = (text: string): Buffer => seq(set(seq(oid('2.5.4.10'), tlv(0x0c, Buffer.from(text, 'utf8')))));
const time = (at: number): Buffer =>
  tlv(0x18, Buffer.from(`${new Date(at).toISOString().replace(/[-:T]|\.\d+Z/g, '')}Z`, 'latin1'));
const algorithm = (id: string): Buffer => seq(oid(id), NULL);

/** A certificate that signs itself, PEM, as AWS publishes them by region. */
export function selfSigned(privateKey: KeyObject, from: number, until: number): string {
  const spki = createPublicKey(privateKey).export({ type: 'spki', format: 'der' });
  const about = seq(
    explicit(int(2)),
    int(7),
    algorithm(SHA256_RSA),
    name('Berth tests'),
    seq(time(from), time(until)),
    name('Berth tests'),
    spki,
  );
  const signature = tlv(0x03, Buffer.from([0]), sign('sha256', about, privateKey));
  const base64 = seq(about, algorithm(SHA256_RSA), signature).toString('base64');
  return `-----BEGIN CERTIFICATE-----\n${base64.replace(/.{64}/g, '$&\n')}\n-----END CERTIFICATE-----\n`;
}

/** A PKCS #7 signature of a document as IMDS gives it; the document is inside unless `detached`. */
export function pkcs7(
  document: string,
  privateKey: KeyObject,
  form: {
    inside?: string | null;
    attributes?: 'signed' | 'none';
    signers?: number;
    lengths?: 'definite' | 'indefinite';
  } = {},
): Buffer {
  const bytes = Buffer.from(document, 'utf8');
  const inside = form.inside === undefined ? document : form.inside;
  const digest = createHash('sha256').update(bytes).digest();
  const attributes = [
    seq(oid(CONTENT_TYPE), set(oid(DATA))),
    seq(oid(MESSAGE_DIGEST), set(octets(digest))),
  ].sort((a, b) => Buffer.compare(a, b));
  const withAttributes = form.attributes !== 'none';
  const signature = sign('sha256', withAttributes ? set(...attributes) : bytes, privateKey);
  const signer = seq(
    int(1),
    seq(name('Berth tests'), int(7)),
    algorithm(SHA256),
    ...(withAttributes ? [tlv(0xa0, ...attributes)] : []),
    algorithm(RSA),
    octets(signature),
  );
  const signers = Array.from({ length: form.signers ?? 1 }, () => signer);
  const wrap = form.lengths === 'indefinite' ? indefinite : tlv;
  const text = inside === null ? null : Buffer.from(inside, 'utf8');
  // In pieces, where there is no length.
  const content =
    text === null ? [] : [form.lengths === 'indefinite' ? indefinite(0x24, octets(text)) : octets(text)];
  return wrap(
    0x30,
    oid(SIGNED_DATA),
    wrap(
      0xa0,
      wrap(
        0x30,
        int(1),
        set(algorithm(SHA256)),
        wrap(0x30, oid(DATA), ...(content.length === 0 ? [] : [wrap(0xa0, ...content)])),
        set(...signers),
      ),
    ),
  );
}
