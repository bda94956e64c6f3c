import { z } from 'zod';
import { HostId, PoolName } from '../domain/ids.ts';
import { AwsProof } from '../protocol/enrolment.ts';

/** Times are milliseconds since 1970. */

export const HostName = z
  .string()
  .min(1)
  .max(63)
  .regex(/^[a-zA-Z0-9]([a-zA-Z0-9.-]*[a-zA-Z0-9])?$/);

export const Challenge = z.object({ challenge: z.string(), expiresAt: z.number() });
export type Challenge = z.infer<typeof Challenge>;

export const EnrolAws = z.strictObject({
  pool: PoolName,
  name: HostName,
  /** Ed25519 public key, SPKI DER in base64. */
  publicKey: z.string().max(200),
  challenge: z.string().max(200),
  /** Signature of the challenge by that key, base64. */
  possession: z.string().max(200),
  aws: AwsProof,
});
export type EnrolAws = z.infer<typeof EnrolAws>;

const some = (pattern: RegExp, error: string) => z.string().regex(pattern, { error });

/** Which instances of AWS may join a pool by themselves. Everything that is named must hold. */
export const AwsRule = z.strictObject({
  account: some(/^\d{12}$/, 'an AWS account is 12 digits'),
  regions: z
    .array(some(/^[a-z]{2}(-[a-z]+)+-\d{1,2}$/, 'a region is such as eu-central-1'))
    .min(1)
    .max(20),
  /** Names, not ARNs, of the instances' roles. */
  roles: z
    .array(some(/^[\w+=,.@-]{1,64}$/, 'a role is given by its name, such as berth-host'))
    .min(1)
    .max(20),
  /** Empty: any image. */
  images: z
    .array(some(/^ami-[0-9a-f]{8,17}$/, 'an image is such as ami-0123456789abcdef0'))
    .max(50)
    .default([]),
  /** Asked of EC2 by the coordinator, with its own credentials. */
  tags: z.record(z.string().min(1).max(128), z.string().max(256)).default({}),
  /** Only instances that were started no longer ago than this. */
  maxAgeMs: z.int().min(60_000).max(31_536_000_000).nullable().default(null),
});
export type AwsRule = z.infer<typeof AwsRule>;

export const SetPoolJoin = z.strictObject({
  /** Null: no instance joins by itself any more; those that are in stay. */
  aws: AwsRule.nullable(),
});
export const PoolJoin = z.object({
  pool: PoolName,
  aws: AwsRule.nullable(),
  result: z.enum(['changed', 'unchanged']),
});

/** An instance may bind a new key until then. */
export const Reenrol = z.object({ host: HostId, instance: z.string(), until: z.number() });
