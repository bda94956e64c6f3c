import { z } from 'zod';
import { plainText } from '../../domain/access.ts';
import { AppName, HostId, PoolName, TenantName } from '../../domain/ids.ts';

/** What the paths, queries and answers of several routes are made of. */
export const app = z.object({ app: AppName });
export const tenant = z.object({ tenant: TenantName });
export const host = z.object({ host: HostId });
export const pool = z.object({ pool: PoolName });
export const rollout = z.object({ rollout: z.coerce.number().int().min(1) });
export const page = z.object({
  limit: z.coerce.number().int().min(1).max(1000).default(200),
  /** The last name of the page before. */
  after: plainText(100, 0).optional(),
});
export const list = <T extends z.ZodType>(item: T) =>
  z.object({ items: z.array(item), next: z.string().nullable() });
export const done = z.object({ result: z.literal('ok') });
