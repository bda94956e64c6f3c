import { sign, verify, type KeyObject } from 'node:crypto';
import { z } from 'zod';
import { digestOf } from './digest.ts';
import { PoolName } from './ids.ts';
import { KeyName, PublicKey, readPublicKey, SignatureValue, type AcceptedKey } from './signature.ts';

/**
 * Whose releases a pool's hosts run, as a statement that is itself signed. A host keeps the first it is given and from then
 * on takes only a later one that a key of the one before has signed: whoever holds the coordinator can hand statements on,
 * and neither make nor take away one.
 */
export const PoolSigners = z
  .strictObject({
    pool: PoolName,
    /** Grows with each statement of a pool. */
    version: z.int().min(1).max(1_000_000_000),
    /** False: hosts run what they are told, and keep the keys, which alone may say otherwise again. */
    required: z.boolean(),
    keys: z
      .array(z.strictObject({ name: KeyName, publicKey: PublicKey }))
      .min(1)
      .max(16),
  })
  .refine(({ keys }) => new Set(keys.map((each) => each.name)).size === keys.length, {
    error: 'two keys have the same name',
  })
  .refine(({ keys }) => new Set(keys.map((each) => each.publicKey)).size === keys.length, {
    error: 'a key is named twice',
  });
export type PoolSigners = z.infer<typeof PoolSigners>;

export const SignedSigners = z.strictObject({
  signers: PoolSigners,
  /** None is no statement that anybody heeds, and is told of like any other that does not hold. */
  by: z.array(z.strictObject({ key: KeyName, value: SignatureValue })).max(4),
});
export type SignedSigners = z.infer<typeof SignedSigners>;

/** As many statements of one pool as go to a host at once, newest last. */
export const MOST_STATEMENTS = 100;

/** The text that is signed: of no use for a release, nor for another pool. */
export function signersText(signers: PoolSigners): string {
  return `berth-pool-signers-v1\n${signers.pool}\n${signers.version}\n${digestOf(signers)}`;
}

/** Base64. The key must be an Ed25519 private key. */
export function signSigners(privateKey: KeyObject, signers: PoolSigners): string {
  return sign(null, Buffer.from(signersText(signers)), privateKey).toString('base64');
}

/** `prod@3:0a1b2c3d4e5f`: which statement it is, shortly. */
export function standingOf({ signers }: SignedSigners): string {
  return `${signers.pool}@${signers.version}:${digestOf(signers).slice(0, 12)}`;
}

/** What `standingOf` says; null for what is none. */
export function parseStanding(text: string): { pool: string; version: number } | null {
  const [, pool, version] = /^([a-z0-9-]+)@(\d{1,10}):[0-9a-f]{12}$/.exec(text) ?? [];
  return pool === undefined || version === undefined ? null : { pool, version: Number(version) };
}

/** The keys of a statement, to verify with. */
export function keysOf(keys: PoolSigners['keys']): AcceptedKey[] {
  return keys.flatMap(({ name, publicKey }) => {
    const key = readPublicKey(publicKey);
    return key === null ? [] : [{ name, key }];
  });
}

/** Which of these keys signed it; null: none. */
export function signerOf({ signers, by }: SignedSigners, keys: readonly AcceptedKey[]): string | null {
  if (by.length === 0) return null;
  const text = Buffer.from(signersText(signers));
  const found = keys.find(({ key }) =>
    by.some(({ value }) => verify(null, text, key, Buffer.from(value, 'base64'))),
  );
  return found?.name ?? null;
}

export interface SignersRefusal {
  why: 'vanished' | 'other-pool' | 'older' | 'conflicting' | 'unsigned' | 'foreign';
  /** A sentence. */
  message: string;
}

export interface SignersVerdict {
  /** What holds from now on. */
  inForce: SignedSigners | null;
  /** Why the last that was offered does not hold; null where it does. */
  refusal: SignersRefusal | null;
}

/**
 * Decides which statement holds where `pinned` held and `offered` came, in any order. Pure. `anchors` are keys of the host's
 * own configuration: they may sign any statement, and where there are some the first has to be signed by one. `pool` is the
 * pool that the host itself knows to be in; null where it does not.
 */
export function judgeSigners(
  pinned: SignedSigners | null,
  offered: readonly SignedSigners[],
  { anchors, pool }: { anchors: readonly AcceptedKey[]; pool: string | null },
): SignersVerdict {
  if (offered.length === 0) return { inForce: pinned, refusal: pinned === null ? null : vanished(pinned) };
  let inForce = pinned;
  let refusal: SignersRefusal | null = null;
  for (const each of [...offered].sort((a, b) => a.signers.version - b.signers.version)) {
    refusal = refusalOf(inForce, each, anchors, pool);
    // The same statement again is kept as it is.
    if (refusal === null && each.signers.version !== inForce?.signers.version) inForce = each;
  }
  return { inForce, refusal };
}

function refusalOf(
  pinned: SignedSigners | null,
  { signers, by }: SignedSigners,
  anchors: readonly AcceptedKey[],
  pool: string | null,
): SignersRefusal | null {
  const own = pinned?.signers.pool ?? pool;
  const what = `version ${signers.version} of pool ${signers.pool}'s signers`;
  if (own !== null && signers.pool !== own)
    return refused('other-pool', pinned, `The coordinator sent ${what}, and this host is of pool ${own}.`);
  if (pinned !== null && signers.version < pinned.signers.version)
    return refused('older', pinned, `The coordinator sent ${what}, which is older than what this host has.`);
  if (pinned !== null && signers.version === pinned.signers.version)
    return digestOf(signers) === digestOf(pinned.signers)
      ? null
      : refused('conflicting', pinned, `The coordinator sent another ${what} than this host has.`);
  const accepted =
    pinned === null
      ? anchors.length > 0
        ? anchors
        : keysOf(signers.keys)
      : [...keysOf(pinned.signers.keys), ...anchors];
  if (by.length === 0)
    return refused('unsigned', pinned, `The coordinator sent ${what}, which nobody signed.`);
  if (signerOf({ signers, by }, accepted) !== null) return null;
  const names = [...new Set(accepted.map((each) => each.name))].join(', ');
  return refused(
    'foreign',
    pinned,
    `The coordinator sent ${what}, which is not signed by a key that may do so here (${names}), or is not what was signed.`,
  );
}

function vanished(pinned: SignedSigners): SignersRefusal {
  const message = `The coordinator has no signers of pool ${pinned.signers.pool} any more.`;
  return refused('vanished', pinned, message);
}

function refused(why: SignersRefusal['why'], pinned: SignedSigners | null, message: string): SignersRefusal {
  if (pinned === null) return { why, message: `${message} It is not heeded.` };
  const { version, required } = pinned.signers;
  const goes = required ? 'only signed releases run here' : 'no signature is required here';
  return { why, message: `${message} Version ${version} stays in force: ${goes}.` };
}
