import { z } from 'zod';
import { DatabaseServerName } from '../domain/database.ts';
import { AppName, TenantName } from '../domain/ids.ts';

export const SetDatabaseServer = z.strictObject({
  /** `postgres://user:password@host:5432/postgres?sslmode=verify-full`. It goes in and is never shown. */
  url: z.string().min(1).max(4_000),
  /** Instead of the address that is there. */
  replace: z.boolean().default(false),
  /** Apps that name no server get this one. */
  default: z.boolean().default(false),
});
export type SetDatabaseServer = z.infer<typeof SetDatabaseServer>;

export const DatabaseServerShown = z.object({
  server: DatabaseServerName,
  engine: z.literal('postgres'),
  host: z.string(),
  port: z.number(),
  user: z.string(),
  /** The one that is connected to for making others. */
  database: z.string(),
  sslmode: z.string(),
  /** When it was last given. */
  version: z.string(),
  standing: z.enum(['default', 'other']),
  /** How many of them have something on it. */
  tenants: z.number(),
  /** And how many that are no more. */
  leftBehind: z.number(),
  createdAt: z.number(),
  checkedAt: z.number(),
});
export type DatabaseServerShown = z.infer<typeof DatabaseServerShown>;

export const TenantDatabase = z.object({
  tenant: TenantName,
  app: AppName,
  server: DatabaseServerName,
  database: z.string(),
  /** Null: the database is the tenant's alone. */
  schema: z.string().nullable(),
  role: z.string(),
  connections: z.number(),
  /** `making`: it was begun, and is gone on with when the tenant is tried again. */
  state: z.enum(['making', 'ready']),
  createdAt: z.number(),
});
export type TenantDatabase = z.infer<typeof TenantDatabase>;

export const DatabaseServerDetail = DatabaseServerShown.extend({
  /** A thousand at most. */
  databases: z.array(TenantDatabase),
  /** Of tenants that are no more, or never came to be; a thousand at most. */
  left: z.array(TenantDatabase),
});
export type DatabaseServerDetail = z.infer<typeof DatabaseServerDetail>;

export const DatabaseServerCheck = z.object({
  server: DatabaseServerName,
  version: z.string(),
  tls: z.enum(['encrypted', 'plain']),
  connections: z.object({ most: z.number(), used: z.number() }),
  /** What an administrator should know, in sentences. */
  notes: z.array(z.string()),
});
export type DatabaseServerCheck = z.infer<typeof DatabaseServerCheck>;
