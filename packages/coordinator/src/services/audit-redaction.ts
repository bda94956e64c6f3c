/**
 * What of a mutation may be on record for ever. One place for all mutations, between them and the store: a field that
 * holds a secret by its name, or a text that is one by its shape, is replaced, whoever put it there. Variables are
 * configuration and no secrets, and yet only their names are kept: a record cannot be taken back, a value can.
 */

export const REDACTED = '(redacted)';

/** Fields whose value is never kept, by their name in lower case with letters and digits only. */
const DENIED =
  /^(value|values|secret|compose|content|seed|hash|tokenhash|proof)$|(password|passphrase|privatekey|secretkey|accesskey|datakey|token|plaintext|ciphertext|credential|credentials|cookie|authorization|jwt)$/;

/** Named like a secret, and none: looked at one by one. */
const ALLOWED = new Set(['publickey']);

/** Maps from a name to a value of which the names are kept. */
const NAMES_ONLY = new Set(['variables', 'envfiles', 'secrets', 'environment']);

/** Texts that are secrets wherever they stand: Berth's tokens, private keys, signed web tokens, databases' addresses. */
const SECRET_TEXTS = [
  /berth_[a-z]+_[0-9A-Za-z_-]{16,}/g,
  /-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)/g,
  /\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}/g,
  /\bpostgres(?:ql)?:\/\/[^\s/@]*:[^\s]*@[^\s]*/gi,
];

/** A JSON value of what a mutation says was before or came after, without secrets. The given value stays as it is. */
export function redacted(value: unknown): unknown {
  if (typeof value === 'string') return redactedText(value);
  if (typeof value === 'number') return Number.isFinite(value) ? value : null;
  if (typeof value === 'boolean') return value;
  if (Array.isArray(value)) return Array.from(value, redacted);
  if (typeof value !== 'object' || value === null) return null;
  const fields: [string, unknown][] = [];
  for (const [name, item] of Object.entries(value)) {
    if (item !== undefined) fields.push([redactedText(name), field(name, item)]);
  }
  return Object.fromEntries(fields);
}

/** A text without the secrets that it quotes. */
export function redactedText(text: string): string {
  return SECRET_TEXTS.reduce((rest, secret) => rest.replace(secret, REDACTED), text);
}

function field(name: string, item: unknown): unknown {
  const plain = name.toLowerCase().replaceAll(/[^a-z0-9]/g, '');
  if (item === null) return null;
  if (NAMES_ONLY.has(plain) && typeof item === 'object' && !Array.isArray(item))
    return Object.keys(item).map(redactedText).sort();
  if (typeof item === 'boolean') return item;
  return DENIED.test(plain) && !ALLOWED.has(plain) ? REDACTED : redacted(item);
}
