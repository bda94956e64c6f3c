import { BerthError } from '@berth/shared/domain/errors';
import { KeyName } from '@berth/shared/domain/signature';
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import type { Environment } from './config.ts';
import { UsageError } from './exit-codes.ts';
import { readText, whyUnreadable } from './read-text.ts';

/** A private key that signs releases. It is read where it is used and goes nowhere. */
export interface SigningKey {
  name: string;
  privateKey: KeyObject;
  /** SPKI, DER, base64. */
  publicKey: string;
}

const VARIABLE = 'BERTH_SIGNING_KEY';

/**
 * From a PKCS#8 PEM file, or from BERTH_SIGNING_KEY, which holds the PEM itself; never from the command line. Its name is
 * the file's unless one is given. Errors: UsageError.
 */
export function readSigningKey(
  given: { file?: string | undefined; name?: string | undefined },
  env: Environment,
  cwd: string,
): SigningKey {
  const what = given.file ?? VARIABLE;
  const text = given.file === undefined ? env[VARIABLE] : readText(resolve(cwd, given.file), given.file);
  if (text === undefined || text === '')
    throw new UsageError(
      'There is no key to sign with.',
      `Say --key FILE, or put the PEM into ${VARIABLE}; "berth release keygen" makes one.`,
    );
  let privateKey: KeyObject;
  try {
    privateKey = createPrivateKey({ key: text, format: 'pem' });
  } catch (cause) {
    // What the library says may quote the key.
    throw new BerthError('invalid_request', `${what} is not a private key in PEM (PKCS#8, no passphrase).`, {
      details: { cause: cause instanceof Error && 'code' in cause ? cause.code : 'unknown' },
    });
  }
  if (privateKey.asymmetricKeyType !== 'ed25519')
    throw new UsageError(`${what} is a ${privateKey.asymmetricKeyType ?? 'key'} and not an Ed25519 key.`);
  const name = given.name ?? (given.file === undefined ? 'ci' : basename(given.file).replace(/\.[^.]*$/, ''));
  const checked = KeyName.safeParse(name);
  if (!checked.success)
    throw new UsageError(`${JSON.stringify(name)} cannot be the name of a key.`, 'Say --key-name NAME.');
  return { name: checked.data, privateKey, publicKey: publicOf(privateKey) };
}

/** Makes a key and writes it to a new file that only its owner may read. Errors: UsageError; no file is replaced. */
export function makeSigningKey(file: string, cwd: string): string {
  const { privateKey } = generateKeyPairSync('ed25519');
  try {
    writeFileSync(resolve(cwd, file), privateKey.export({ format: 'pem', type: 'pkcs8' }), {
      flag: 'wx',
      mode: 0o600,
    });
  } catch (cause) {
    const exists = cause instanceof Error && 'code' in cause && cause.code === 'EEXIST';
    throw new UsageError(
      exists
        ? `${file} is there already and is not replaced.`
        : `${file} could not be written: ${whyUnreadable(cause)}.`,
    );
  }
  return publicOf(privateKey);
}

function publicOf(privateKey: KeyObject): string {
  return createPublicKey(privateKey).export({ format: 'der', type: 'spki' }).toString('base64');
}
