import { createHash, createPublicKey, sign, verify, type KeyObject } from 'node:crypto';
import { z } from 'zod';
import { digestOf } from './digest.ts';
import { DEFAULT_EGRESS, egressText, unionOf, type Egress } from './egress.ts';
import { ServiceName } from './ids.ts';
import type { ServiceSpec, TenantSpec } from './spec.ts';

/**
 * Signed releases. What is signed is what a tenant runs, less the few places that are the tenant's own: all of the spec but
 * the values of some variables in the environment, and sizes. Those places are part of what is signed, so that whoever
 * holds the coordinator can fill them in and open no others. The signature travels with each entry of the desired state; a
 * host works the text out again from the spec that it is about to run.
 */

/** Places that a tenant's variables may decide, beside values of its environment: none of them says what code runs. */
export const OPEN_PARTS = ['limits', 'replicas', 'hostname', 'labels', 'logging'] as const;
export type OpenPart = (typeof OPEN_PARTS)[number];

/** What of one service the tenant's variables decide. */
export const OpenService = z.strictObject({
  /** Names in the environment whose value, and presence, is the tenant's. */
  environment: z.array(z.string().min(1).max(256)).max(500),
  /** `limits` are limits and reservations, `logging` the driver's options. */
  parts: z.array(z.enum(OPEN_PARTS)).max(OPEN_PARTS.length),
});
export type OpenService = z.infer<typeof OpenService>;

/** By service; a service that is not named is signed as a whole. */
export const Open = z.record(ServiceName, OpenService);
export type Open = z.infer<typeof Open>;

/** What people call a key; it tells no host to trust it. */
export const KeyName = z
  .string()
  .max(60)
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/, {
    error: 'the name of a key must be letters, digits, ".", "_" and "-"',
  });

/** An Ed25519 public key: SPKI, DER, base64, as `berth release keygen` prints it. */
export const PublicKey = z
  .string()
  .max(200)
  .refine((text) => readPublicKey(text) !== null, {
    error: 'not an Ed25519 public key (SPKI in base64, as "berth release keygen" prints it)',
  });

/** 64 bytes, base64. */
export const SignatureValue = z
  .string()
  .regex(/^[A-Za-z0-9+/]{86}==$/, { error: 'not an Ed25519 signature' });

export const ReleaseSignature = z.strictObject({
  open: Open,
  /** More than one while keys are being changed. */
  by: z
    .array(z.strictObject({ key: KeyName, value: SignatureValue }))
    .min(1)
    .max(4),
});
export type ReleaseSignature = z.infer<typeof ReleaseSignature>;

/** What is signed, before it is text. */
export interface Signable {
  app: string;
  release: number;
  open: Open;
  spec: TenantSpec;
}

/** What of a spec a signature holds fast: all of it but the open places and the time to bake, which a rollout sets. */
export function boundPart({ app, release, open, spec }: Signable): Record<string, unknown> {
  const { bakeMs: _bakeMs, services, ...rest } = spec;
  return {
    app,
    release,
    open: inOrder(open),
    spec: { ...rest, services: services.map((service) => closed(service, openOf(open, service.name))) },
  };
}

/** The text that is signed: short, and of no use for anything else. */
export function signedText(signable: Signable): string {
  return `berth-release-v1\n${signable.app}\n${signable.release}\n${digestOf(boundPart(signable))}`;
}

/** Base64. The key must be an Ed25519 private key. */
export function signRelease(privateKey: KeyObject, signable: Signable): string {
  return sign(null, Buffer.from(signedText(signable)), privateKey).toString('base64');
}

/** The public key of SPKI in base64, or null when it is not an Ed25519 key. Never throws. */
export function readPublicKey(text: string): KeyObject | null {
  try {
    const key = createPublicKey({ key: Buffer.from(text, 'base64'), format: 'der', type: 'spki' });
    return key.asymmetricKeyType === 'ed25519' ? key : null;
  } catch {
    return null;
  }
}

/** For people to compare: `SHA256:` and the hash of the key, as ssh shows it. */
export function keyFingerprint(publicKey: string): string {
  const hash = createHash('sha256').update(Buffer.from(publicKey, 'base64')).digest('base64');
  return `SHA256:${hash.replace(/=+$/, '')}`;
}

/** Eleven characters of it, for a host to say shortly which keys it goes by. */
export function keyHint(publicKey: string): string {
  return keyFingerprint(publicKey).slice(7, 18);
}

export interface AcceptedKey {
  name: string;
  key: KeyObject;
}

export type SignatureVerdict =
  | { kind: 'signed'; key: string }
  /** A sentence without its full stop. */
  | { kind: 'refused'; why: 'unsigned' | 'unknown-key' | 'altered' | 'unpinned' | 'egress'; message: string };

/** An entry of the desired state, as far as its signature is concerned. */
export interface SignedEntry {
  app: string;
  release: number;
  spec: TenantSpec;
  signature?: ReleaseSignature | undefined;
  /** An operator's word over what the release says. */
  egress?: Egress | undefined;
}

/** Whether one of these keys signed what this entry would run. Never throws. */
export function verifyRelease(entry: SignedEntry, keys: readonly AcceptedKey[]): SignatureVerdict {
  const { app, release, spec, signature } = entry;
  const what = `release ${release} of ${app}`;
  const accepted = keys.map((each) => each.name).join(', ') || 'none';
  if (signature === undefined) {
    const message = `${what} is not signed by a key that this host accepts (${accepted})`;
    return { kind: 'refused', why: 'unsigned', message };
  }
  const text = Buffer.from(signedText({ app, release, open: signature.open, spec }));
  const signer = keys.find(({ key }) =>
    signature.by.some(({ value }) => verify(null, text, key, Buffer.from(value, 'base64'))),
  );
  if (signer === undefined) {
    // The names are the coordinator's word: good enough for a hint, and for nothing else.
    const named = signature.by.map(({ key }) => key);
    const claimed = keys.find(({ name }) => named.includes(name));
    return claimed === undefined
      ? {
          kind: 'refused',
          why: 'unknown-key',
          message: `${what} is signed by ${named.join(', ')}, not by a key that this host accepts (${accepted})`,
        }
      : {
          kind: 'refused',
          why: 'altered',
          message: `${what} as this host is told to run it is not what ${claimed.name} signed: an image, a command or another signed part differs, or the signature is of something else`,
        };
  }
  const loose = spec.services.find(({ image }) => !/@sha256:[0-9a-f]{64}$/.test(image));
  if (loose !== undefined) {
    const message = `${what} is signed, but the image of ${loose.name} is not pinned by its digest, so nobody knows what it is`;
    return { kind: 'refused', why: 'unpinned', message };
  }
  if (widensEgress(entry)) {
    const message = `${what} is signed for egress ${egressText(spec.egress ?? DEFAULT_EGRESS)}, and an operator's word on this tenant opens more`;
    return { kind: 'refused', why: 'egress', message };
  }
  return { kind: 'signed', key: signer.name };
}

/** Whether an operator's word lets a tenant connect to more than its release was signed for. Less is always allowed. */
export function widensEgress({ spec, egress }: Pick<SignedEntry, 'spec' | 'egress'>): boolean {
  if (egress === undefined) return false;
  const signed = spec.egress ?? DEFAULT_EGRESS;
  return egressText(unionOf([signed, egress])) !== egressText(signed);
}

function openOf(open: Open, service: string): OpenService | undefined {
  return Object.hasOwn(open, service) ? open[service] : undefined;
}

/** Equal openings in equal words: sorted, nothing twice, nothing empty. */
function inOrder(open: Open): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(open).flatMap(([service, { environment, parts }]) =>
      environment.length + parts.length === 0
        ? []
        : [
            [
              service,
              { environment: [...new Set(environment)].sort(), parts: [...new Set<string>(parts)].sort() },
            ],
          ],
    ),
  );
}

function closed(service: ServiceSpec, open: OpenService | undefined): Record<string, unknown> {
  const names = new Set(open?.environment);
  const bound: Record<string, unknown> = {
    ...service,
    ...secretsOf(service),
    environment: Object.fromEntries(Object.entries(service.environment).filter(([name]) => !names.has(name))),
  };
  for (const part of open?.parts ?? []) {
    if (part === 'logging') bound['logging'] = { driver: service.logging.driver };
    else delete bound[part];
    if (part === 'limits') delete bound['reservation'];
  }
  return bound;
}

/** Which secrets there are and where they go; their versions, and where a tenant's value is kept, are the tenant's own. */
function secretsOf({ secrets, secretEnv }: ServiceSpec): Record<string, unknown> {
  return {
    ...(secrets === undefined
      ? {}
      : { secrets: secrets.map(({ version: _version, id: _id, from: _from, ...place }) => place) }),
    ...(secretEnv === undefined
      ? {}
      : {
          secretEnv: Object.fromEntries(
            Object.entries(secretEnv).map(([name, secret]) => [name, secret.name]),
          ),
        }),
  };
}
