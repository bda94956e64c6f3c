import { z } from 'zod';
import { AppName, TenantName } from './ids.ts';

/** UTC to the second and eight random hex digits: `20261120T154500Z-0f3a9c21`. In the order of their taking. */
export const BackupId = z.string().regex(/^[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}$/, {
  error: 'a backup is named like 20261120T154500Z-0f3a9c21',
});
export type BackupId = z.infer<typeof BackupId>;

/** Why it was taken. */
export const BackupReason = z.enum(['schedule', 'asked', 'before-release', 'final']);
export type BackupReason = z.infer<typeof BackupReason>;

/**
 * Where backups are kept. Objects are called `<prefix>/<app>/<tenant>/<backup>.dump.zst`, with the manifest beside as
 * `<backup>.json`. Credentials are never here: the host's role, or its own configuration.
 */
export const BackupStore = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('s3'),
    bucket: z
      .string()
      .min(3)
      .max(63)
      .regex(/^[a-z0-9][a-z0-9.-]*[a-z0-9]$/),
    /** Without slashes at its ends; may be empty. */
    prefix: z
      .string()
      .max(200)
      .regex(/^([A-Za-z0-9_.=-]+(\/[A-Za-z0-9_.=-]+)*)?$/),
    region: z
      .string()
      .max(40)
      .regex(/^[a-z0-9-]+$/),
    /** Any other S3 than AWS's own; then buckets are named in the path. */
    endpoint: z
      .url({ protocol: /^https?$/ })
      .max(300)
      .optional(),
    /** Key of SSE-KMS; without it the bucket's own default holds. */
    kmsKey: z.string().max(300).optional(),
    storageClass: z
      .string()
      .max(40)
      .regex(/^[A-Z_]+$/)
      .optional(),
  }),
  /** On the host itself: for one machine and for trying things out. */
  z.strictObject({ kind: z.literal('directory'), path: z.string().startsWith('/').max(400) }),
]);
export type BackupStore = z.infer<typeof BackupStore>;

const Sha256 = z.string().regex(/^[0-9a-f]{64}$/);

/**
 * What is kept beside a backup, written after everything in it was seen to be true. Schema and row counts were read in
 * the snapshot that was dumped. Sizes are bytes, times milliseconds, `takenAt` the snapshot's time in ms since 1970.
 */
export const BackupManifest = z.strictObject({
  version: z.literal(1),
  backup: BackupId,
  tenant: TenantName,
  app: AppName,
  release: z.int().min(0),
  generation: z.int().min(0),
  reason: BackupReason,
  takenAt: z.int(),
  engine: z.literal('postgres'),
  /** As the server says it: `15.8`. */
  serverVersion: z.string().max(60),
  /** Of the client that dumped it; a restore needs one at least as new. */
  clientVersion: z.string().max(60),
  /** pg_dump's custom format without compression of its own, in one zstd frame. */
  format: z.literal('pg-custom+zstd'),
  /** Of the object. */
  bytes: z.int().min(1),
  sha256: Sha256,
  /** Of the dump before compression. */
  dumpBytes: z.int().min(1),
  /** Of all definitions: tables, columns, types, indexes, constraints, sequences, views, functions, in one order. */
  schemaSha256: Sha256,
  /** The same by kind of definition, such as `columns` or `views`: a comparison can say what differs. */
  schemaParts: z.record(z.string().max(40), Sha256),
  /** Exact, by `schema.table`. */
  rows: z.record(z.string().max(300), z.int().min(0)),
  /** Entries in the dump's table of contents, read back from the store. */
  entries: z.int().min(0),
  tookMs: z.strictObject({ dump: z.number(), readBack: z.number() }),
});
export type BackupManifest = z.infer<typeof BackupManifest>;
