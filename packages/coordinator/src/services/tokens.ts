import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';

const ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
/** 30 characters of 62 are 178 bits. */
const BODY = 30;
const CHECK = 6;

export type TokenKind = 'api' | 'join';
export type RandomBytes = (count: number) => Uint8Array;

/** `berth_api_<30 random characters><6 of checksum>`: the checksum lets scanners and typos be told without asking. */
export function makeToken(kind: TokenKind, random: RandomBytes): string {
  const body = randomText(BODY, ALPHABET, random);
  return `berth_${kind}_${body}${checksum(kind, body)}`;
}

/** True when the text could be a token of this kind at all. */
export function looksLikeToken(kind: TokenKind, text: string): boolean {
  const prefix = `berth_${kind}_`;
  if (!text.startsWith(prefix) || text.length !== prefix.length + BODY + CHECK) return false;
  const body = text.slice(prefix.length, -CHECK);
  return /^[0-9A-Za-z]+$/.test(body) && text.endsWith(checksum(kind, body));
}

/**
 * What is wrong with a text that should be a token of this kind, in a sentence that never repeats it; null when it could
 * be one. Only the checksum is looked at, which is no secret: whether a token is known is told by its hash alone.
 */
export function tokenFault(kind: TokenKind, text: string): string | null {
  if (looksLikeToken(kind, text)) return null;
  const prefix = `berth_${kind}_`;
  const other = /^berth_([a-z]+)_/.exec(text)?.[1];
  if (other !== undefined && other !== kind)
    return `This is a token of another kind (berth_${other.slice(0, 20)}_…); here it takes one that begins with ${prefix}.`;
  if (other === undefined) return `This is not a token of Berth: it must begin with ${prefix}.`;
  const missing = prefix.length + BODY + CHECK - text.length;
  if (missing > 0)
    return `This token is cut off: ${missing === 1 ? 'a character is' : `${missing} characters are`} missing. Copy all of it.`;
  return 'This token is mistyped: its checksum does not fit. Copy it again, without a line break or a space.';
}

/** What is kept of a token. It has 178 random bits, so a plain hash cannot be guessed back. */
export function tokenHash(token: string): string {
  return createHash('sha256').update(token).digest('hex');
}

/** Random text without bias: bytes beyond the last whole multiple of the alphabet are thrown away. */
export function randomText(length: number, alphabet: string, random: RandomBytes): string {
  const limit = 256 - (256 % alphabet.length);
  let text = '';
  while (text.length < length)
    for (const byte of random(length))
      if (byte < limit && text.length < length) text += alphabet[byte % alphabet.length];
  return text;
}

function checksum(kind: TokenKind, body: string): string {
  let rest = crc32(`${kind}:${body}`);
  let text = '';
  for (let i = 0; i < CHECK; i++) {
    text = `${ALPHABET[rest % 62] ?? '0'}${text}`;
    rest = Math.floor(rest / 62);
  }
  return text;
}
