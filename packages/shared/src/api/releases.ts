import { z } from 'zod';
import { AppName, VariableName } from '../domain/ids.ts';
import { KeyName, PublicKey, SignatureValue } from '../domain/signature.ts';
import { ApplyApp, Finding, Pin, VariableValue, ShownSignature } from './schemas.ts';

/** A release whose images are resolved and pinned when it is made. */
export const CreateRelease = ApplyApp;
export type CreateRelease = z.output<typeof CreateRelease>;

export const CreatedRelease = z.object({
  app: AppName,
  release: z.number(),
  /** `unchanged`: the newest release has the same template, variables and digests. */
  result: z.enum(['created', 'unchanged']),
  pins: z.record(z.string(), Pin),
  warnings: z.array(Finding),
});
export type CreatedRelease = z.infer<typeof CreatedRelease>;

/** A signature over what the signer worked out from the own files; the coordinator has to come to the same. */
export const SignRelease = z.strictObject({
  key: KeyName,
  publicKey: PublicKey,
  value: SignatureValue,
});
export type SignRelease = z.infer<typeof SignRelease>;

export const SignedRelease = z.object({
  app: AppName,
  release: z.number(),
  signatures: z.array(ShownSignature),
});
export type SignedRelease = z.infer<typeof SignedRelease>;

export const ReleaseChange = z.object({
  group: z.enum(['images', 'environment', 'limits', 'routes', 'other']),
  /** Null for what belongs to the whole tenant. */
  service: z.string().nullable(),
  /** Within the service, such as `environment.GREETING`. */
  path: z.string(),
  /** Null: not there. What an env file gives is never shown. */
  before: z.string().nullable(),
  after: z.string().nullable(),
});
export type ReleaseChange = z.infer<typeof ReleaseChange>;

export const ReleaseDiff = z.object({
  app: AppName,
  from: z.number(),
  to: z.number(),
  /** `rendered`: as a tenant without variables of its own would get it; `template`: as it is written in the files. */
  compared: z.enum(['rendered', 'template']),
  changes: z.array(ReleaseChange),
});
export type ReleaseDiff = z.infer<typeof ReleaseDiff>;

/** Changes what the tenants of an app or of a pool share. `null` takes a variable away. */
export const SetVariables = z.strictObject({
  variables: z.record(VariableName, VariableValue.nullable()),
});
export type SetVariables = z.infer<typeof SetVariables>;

export const AppVariables = z.object({
  app: AppName,
  result: z.enum(['changed', 'unchanged']),
  /** All of the app's variables from now on. They reach a tenant with its next change. */
  variables: z.record(z.string(), z.string()),
});
export type AppVariables = z.infer<typeof AppVariables>;
