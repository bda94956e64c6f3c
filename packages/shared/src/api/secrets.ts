import { z } from 'zod';
import { MAX_SECRET_BYTES, SecretName, SecretReference } from '../domain/secret.ts';

/** Base64 of any bytes; the answer to more says so in words. */
const SecretValue = z
  .base64({ error: 'must be base64' })
  .refine((text) => text.length <= Math.ceil(MAX_SECRET_BYTES / 3) * 4, {
    error: `a secret is ${MAX_SECRET_BYTES / 1024} KB at most; keep larger things in a volume or in the image`,
  })
  .refine((text) => text.length > 0, { error: 'a secret is never empty; remove it instead' });

export const NewSecret = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('value'), value: SecretValue }),
  z.strictObject({ kind: z.literal('reference'), from: SecretReference }),
]);
export type NewSecret = z.infer<typeof NewSecret>;

export const SetSecrets = z.strictObject({
  secrets: z
    .record(SecretName, NewSecret)
    .refine((all) => Object.keys(all).length > 0, { error: 'say at least one' }),
  /** Also while a key is missing that older secrets are wrapped with. */
  despiteLostKeys: z.boolean().default(false),
});

export const SecretVersion = z.object({
  version: z.number(),
  createdAt: z.number(),
  createdBy: z.string(),
  /** Of a reference: where its value is. */
  from: z.string().nullable(),
});

/**
 * - `live`: the generation that serves has the newest version.
 * - `pending`: it has another one, or none; the tenant's next change brings it.
 * - `unused`: the tenant's release does not ask for it.
 */
export const SecretState = z.enum(['live', 'pending', 'unused']);

/** A tenant's secret; never its value. */
export const SecretShown = z.object({
  name: SecretName,
  version: z.number(),
  state: SecretState,
  from: z.string().nullable(),
  /** The services that get it. */
  services: z.array(z.string()),
  /** Newest first. */
  versions: z.array(SecretVersion),
});
export type SecretShown = z.infer<typeof SecretShown>;

export const SecretsSet = z.object({
  tenant: z.string(),
  secrets: z.array(z.object({ name: SecretName, version: z.number() })),
});

/** A secret that cannot be opened: so many of its versions are wrapped with a key that is missing. */
export const ClosedSecret = z.object({
  /** Null: the address of the database server that `name` is. */
  tenant: z.string().nullable(),
  name: z.string(),
  key: z.string(),
  versions: z.number(),
});
export type ClosedSecret = z.infer<typeof ClosedSecret>;

/** The keys that wrap secrets. */
export const SecretKeys = z.object({
  /** Null when nothing new is kept, which `problem` explains. */
  current: z.string().nullable(),
  keys: z.array(z.object({ key: z.string(), versions: z.number(), problem: z.string().nullable() })),
  problem: z.string().nullable(),
  /** All that are closed, where they were asked for. */
  closed: z.array(ClosedSecret).optional(),
});
export type SecretKeys = z.infer<typeof SecretKeys>;

export const RotateSecretKey = z.strictObject({
  /** Also while a key is missing that secrets are wrapped with. */
  despiteLostKeys: z.boolean().default(false),
});

export const KeyRotated = z.object({
  before: z.string().nullable(),
  current: z.string(),
  rewrapped: z.number(),
  /** Versions that could not be opened, a sentence each; they stay under their old keys. */
  failed: z.array(z.string()),
});
