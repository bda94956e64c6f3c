/** A value that must not leave the host, and the variable that holds it. */
export interface Secret {
  name: string;
  value: string;
}

const SECRET_NAME = /PASSWORD|PASSWD|PASSPHRASE|SECRET|TOKEN|KEY|CREDENTIAL|PRIVATE|DSN/i;
const URL_PASSWORD = /^[a-z][a-z0-9+.-]*:\/\/[^/?#\s]*?:([^/?#\s]+)@/i;
/** A shorter value is too likely a word of something else, and no secret worth the name. */
const SHORTEST = 6;

/**
 * What looks secret in a container's environment, `NAME=value` each: all of a variable with such a name, and of a URL
 * with user information its password. Values of several lines count line by line, for so they are logged.
 */
export function secretsOf(environment: readonly string[]): Secret[] {
  const secrets: Secret[] = [];
  for (const entry of environment) {
    const at = entry.indexOf('=');
    if (at <= 0) continue;
    const name = entry.slice(0, at);
    const value = entry.slice(at + 1);
    const found = SECRET_NAME.test(name) ? value.split(/\r\n|\n|\r/) : [];
    const password = URL_PASSWORD.exec(value)?.[1];
    if (password !== undefined) found.push(password, decoded(password));
    for (const each of new Set(found.map((line) => line.trim())))
      if (each.length >= SHORTEST) secrets.push({ name, value: each });
  }
  // The longest first: one may be part of another.
  return secrets.sort((a, b) => b.value.length - a.value.length);
}

/** A secret of this length is worth looking for; of shorter ones half of any text would be hidden. */
const SHORTEST_KNOWN = 4;

/**
 * A value that is known to be secret in the forms in which programs print such things: as it is, line by line, in base64,
 * hex, escaped for a URL or for JSON.
 */
export function formsOf(name: string, value: Buffer): Secret[] {
  const text = value.toString('utf8');
  const base64 = value.toString('base64');
  const forms = [
    text,
    text.trim(),
    // What the log's cleaning makes of it.
    ...text.split(/[\r\n]+/).map((line) => line.trim()),
    encodeURIComponent(text.toWellFormed()),
    encodeURIComponent(text.toWellFormed()).replaceAll('%20', '+'),
    JSON.stringify(text).slice(1, -1),
    base64,
    base64.replace(/=+$/, ''),
    // Of a value with something behind it, such as the end of a line, only whole groups are the same.
    value.subarray(0, value.length - (value.length % 3)).toString('base64'),
    // As `base64` folds it.
    ...(base64.match(/.{76}|.{8,}$/g) ?? []),
    value.toString('base64url'),
    value.toString('hex'),
    value.toString('hex').toUpperCase(),
  ];
  return [...new Set(forms)]
    .filter((form) => form.length >= SHORTEST_KNOWN && !/^\s*$/.test(form))
    .map((form) => ({ name, value: form }));
}

/** All of them, the longest first: one may be part of another. */
export function longestFirst(secrets: readonly Secret[]): Secret[] {
  return [...secrets].sort((a, b) => b.value.length - a.value.length);
}

/**
 * The text with every secret replaced by `[redacted NAME]`. Only what stands in one line is found: a value that the
 * program itself broke over two lines is not.
 */
export function redact(text: string, secrets: readonly Secret[]): string {
  return secrets.reduce((left, { name, value }) => left.replaceAll(value, () => `[redacted ${name}]`), text);
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
