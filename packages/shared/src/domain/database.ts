import { z } from 'zod';
import { ServiceName } from './ids.ts';

/** What a registered database server is called. */
export const DatabaseServerName = z.string().regex(/^[a-z][a-z0-9-]{0,39}$/, {
  error: 'a database server is named with 1 to 40 small letters, digits and "-", beginning with a letter',
});
export type DatabaseServerName = z.infer<typeof DatabaseServerName>;

/** What a template asks for under `x-berth.database`. */
export const DatabaseWish = z.discriminatedUnion('kind', [
  /** Made by Berth on a registered server, one for each tenant, with a role of its own. */
  z.strictObject({
    kind: z.literal('managed'),
    engine: z.literal('postgres'),
    /** Null: the only one there is, or the one that is the default. */
    server: DatabaseServerName.nullable(),
    /** A database of its own, or a schema of its own in one that all tenants of the app share. */
    own: z.enum(['database', 'schema']),
    /** Connections that the tenant's role may have at once. */
    connections: z.int().min(1).max(10_000),
  }),
  /** Runs as a service of the tenant's own; it is dumped with the client of its own image. */
  z.strictObject({
    kind: z.literal('service'),
    engine: z.literal('postgres'),
    service: ServiceName,
    user: z.string().min(1).max(63).nullable(),
    database: z.string().min(1).max(63).nullable(),
  }),
]);
export type DatabaseWish = z.infer<typeof DatabaseWish>;

/** The variable that holds the address of a managed database, user and password included; a secret of this name. */
export const DATABASE_VARIABLE = 'DATABASE_URL';
