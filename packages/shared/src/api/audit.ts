import { z } from 'zod';
import { AuditRecord } from './schemas.ts';

/** The audit as the API gives it: records that are chained, and the chain's head. */

export const ChainedAuditRecord = AuditRecord.extend({
  /** SHA-256 over this record and the hash of the one before; see docs/security/audit.md. */
  hash: z.string(),
});
export type ChainedAuditRecord = z.infer<typeof ChainedAuditRecord>;

/** The last record's number and hash: it stands for all records up to there. */
export const AuditHead = z.object({
  number: z.int().min(0),
  hash: z.string().regex(/^[0-9a-f]{64}$/, 'a hash is 64 hexadecimal digits'),
});

/** PostgreSQL takes no NUL, and no record has one. */
const text = (most: number) =>
  z
    .string()
    .min(1)
    .max(most)
    .refine((given) => !given.includes('\0'), { error: 'must not contain a NUL character' });

/** `before` pages from the newest on, `after` from the oldest on. */
export const AuditQuery = z.object({
  limit: z.coerce.number().int().min(1).max(1000).default(100),
  before: z.coerce.number().int().min(1).optional(),
  after: z.coerce.number().int().min(0).optional(),
  /** A token's name or id, a host's id, a rollout's number, or `coordinator`. */
  by: text(200).optional(),
  /** Such as `tenant.created`, or `tenant` for all of them. */
  action: text(60).optional(),
  subject: text(253).optional(),
  since: z.coerce.number().int().min(0).optional(),
});
