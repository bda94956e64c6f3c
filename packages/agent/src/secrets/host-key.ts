import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { chmod, mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { BerthError, messageOf } from '@berth/shared/domain/errors';
import { privateKeyOf, rawPrivate, rawPublic } from '@berth/shared/secrets/hpke';
import { z } from 'zod';
import { readIfThere, writeDurably } from '../system/durable-file.ts';

/** Encrypts and decrypts the host's key with KMS, when the agent's configuration says so. Base64 both ways. */
export interface KeyWrap {
  /** Of the key that wraps, for messages. */
  readonly name: string;
  wrap(text: string, signal?: AbortSignal): Promise<string>;
  unwrap(text: string, signal?: AbortSignal): Promise<string>;
}

/** The X25519 key that secrets are sealed to. Its private part never leaves the host. */
export interface HostKey {
  /** Raw, base64. */
  readonly publicKey: string;
  /** Errors: `secret_unavailable` when KMS does not open it. */
  privateKey(signal?: AbortSignal): Promise<KeyObject>;
}

const KeyFile = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('plain'), publicKey: z.string(), privateKey: z.string() }),
  z.strictObject({ kind: z.literal('kms'), publicKey: z.string(), wrapped: z.string() }),
]);
type KeyFile = z.infer<typeof KeyFile>;

/**
 * Reads the host's key, or makes it. One that is there and cannot be read is never replaced: all that was sealed to it
 * would be lost. Errors: `secret_unavailable`, `state_unwritable`.
 */
export async function openHostKey(dir: string, wrap: KeyWrap | null): Promise<HostKey> {
  const path = join(dir, 'sealing-key.json');
  const text = await readIfThere(path);
  const kept = text === null ? null : parse(path, text);
  let file = kept ?? (await make(wrap));
  if (kept === null) await save(path, file);
  // The configuration began to ask for KMS: what lay here in plain is wrapped from now on.
  if (file.kind === 'plain' && wrap !== null && kept !== null) {
    file = { kind: 'kms', publicKey: file.publicKey, wrapped: await wrap.wrap(file.privateKey) };
    await save(path, file);
  }
  const { publicKey } = file;
  let opened: KeyObject | null = file.kind === 'plain' ? keyOf(path, file.privateKey, publicKey) : null;
  return {
    publicKey,
    async privateKey(signal) {
      if (opened !== null) return opened;
      if (file.kind === 'plain') return (opened = keyOf(path, file.privateKey, publicKey));
      if (wrap === null)
        throw new BerthError(
          'secret_unavailable',
          `The host's sealing key ${path} is wrapped with KMS, and the agent's configuration names no KMS key; put secrets.kms back.`,
        );
      let raw: string;
      try {
        raw = await wrap.unwrap(file.wrapped, signal);
      } catch (cause) {
        throw new BerthError(
          'secret_unavailable',
          `The host's sealing key cannot be opened with ${wrap.name}: ${messageOf(cause)}. No secret of this host can be opened until it can.`,
          { cause },
        );
      }
      return (opened = keyOf(path, raw, publicKey));
    },
  };
}

async function make(wrap: KeyWrap | null): Promise<KeyFile> {
  const key = generateKeyPairSync('x25519').privateKey;
  const publicKey = rawPublic(key).toString('base64');
  const privateKey = rawPrivate(key).toString('base64');
  return wrap === null
    ? { kind: 'plain', publicKey, privateKey }
    : { kind: 'kms', publicKey, wrapped: await wrap.wrap(privateKey) };
}

async function save(path: string, file: KeyFile): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  await writeDurably(path, `${JSON.stringify(file)}\n`, 0o600);
  await chmod(path, 0o600);
}

function parse(path: string, text: string): KeyFile {
  try {
    return KeyFile.parse(JSON.parse(text));
  } catch (cause) {
    throw broken(path, cause);
  }
}

function keyOf(path: string, raw: string, publicKey: string): KeyObject {
  let key: KeyObject;
  try {
    key = privateKeyOf(Buffer.from(raw, 'base64'));
  } catch (cause) {
    throw broken(path, cause);
  }
  if (rawPublic(key).toString('base64') !== publicKey)
    throw broken(path, new Error('its two halves do not belong together'));
  return key;
}

function broken(path: string, cause: unknown): BerthError {
  return new BerthError(
    'secret_unavailable',
    `The host's sealing key ${path} cannot be read: ${messageOf(cause)}. Put it back from a copy; or remove it, and this host asks the coordinator for every secret again.`,
    { cause },
  );
}
