import { BerthError } from '@berth/shared/domain/errors';
import { KeyName, PublicKey } from '@berth/shared/domain/signature';
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { existsSync, writeFileSync } from 'node:fs';
import { basename, extname, resolve } from 'node:path';
import type { Environment } from './config.ts';
import { UsageError } from './exit-codes.ts';
import { requirePrivateKeyFile } from './private-file.ts';
import { readText, whyUnreadable } from './read-text.ts';

/** A private key that signs releases. It is read where it is used and goes nowhere. */
export interface SigningKey {
  name: string;
  privateKey: KeyObject;
  /** SPKI, DER, base64. */
  publicKey: string;
}

const VARIABLE = 'BERTH_SIGNING_KEY';

export function hasKeyInEnvironment(env: Environment): boolean {
  return (env[VARIABLE] ?? '') !== '';
}

/**
 * From a PKCS#8 PEM file that only its owner can read, or from BERTH_SIGNING_KEY, which holds the PEM itself; never from the command line. Its name is
 * the file's unless one is given. Errors: UsageError.
 */
export function readSigningKey(
  given: { file?: string | undefined; name?: string | undefined },
  env: Environment,
  cwd: string,
  flag = '--key FILE',
): SigningKey {
  const what = given.file ?? VARIABLE;
  const text = given.file === undefined ? env[VARIABLE] : readText(resolve(cwd, given.file), given.file);
  if (given.file !== undefined) requirePrivateKeyFile(resolve(cwd, given.file), given.file);
  if (text === undefined || text === '')
    throw new UsageError(
      'There is no key to sign with.',
      `Say ${flag}, or put the PEM into ${VARIABLE}; "berth release keygen" makes one.`,
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
  const name = given.name ?? (given.file === undefined ? 'ci' : nameIn(given.file));
  const checked = KeyName.safeParse(name);
  if (!checked.success)
    throw new UsageError(`${JSON.stringify(name)} cannot be the name of a key.`, 'Say --key-name NAME.');
  return { name: checked.data, privateKey, publicKey: publicOf(privateKey) };
}

/** A public key in a file: PEM, or its base64 alone; its name is the file's. Errors: UsageError. */
export function readPublicKeyFile(file: string, cwd: string): { name: string; publicKey: string } {
  const text = readText(resolve(cwd, file), file).trim();
  if (text.includes('PRIVATE KEY'))
    throw new UsageError(`${file} is a private key.`, `Give the public one: ${publicFileOf(file)}.`);
  const base64 = text.startsWith('-----') ? text.replace(/-----[^-]*-----/g, '').replace(/\s/g, '') : text;
  const publicKey = PublicKey.safeParse(base64);
  if (!publicKey.success) throw new UsageError(`${file} is not an Ed25519 public key in PEM.`);
  const name = KeyName.safeParse(nameIn(file));
  if (!name.success)
    throw new UsageError(
      `${file} cannot be the name of a key.`,
      'Rename the file: letters, digits, ".", "_" and "-".',
    );
  return { name: name.data, publicKey: publicKey.data };
}

function nameIn(file: string): string {
  return basename(file).replace(/\.[^.]*$/, '');
}

/** Where the public key lies beside a private one. */
export function publicFileOf(file: string): string {
  return `${file.slice(0, file.length - extname(file).length)}.pub`;
}

/**
 * Makes a key and writes it to a new file that only its owner may read, and its public key to one beside it. Errors:
 * UsageError; no file is replaced.
 */
export function makeSigningKey(file: string, cwd: string): string {
  const beside = publicFileOf(file);
  if (beside === file)
    throw new UsageError(`${file} would be the name of the public key: --out is the private one.`);
  if (existsSync(resolve(cwd, beside)))
    throw new UsageError(`${beside} is there already and is not replaced.`);
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  try {
    writeFileSync(resolve(cwd, file), privateKey.export({ format: 'pem', type: 'pkcs8' }), {
      flag: 'wx',
      mode: 0o600,
    });
    writeFileSync(resolve(cwd, beside), publicKey.export({ format: 'pem', type: 'spki' }), { flag: 'wx' });
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
