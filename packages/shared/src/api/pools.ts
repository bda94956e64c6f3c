import { z } from 'zod';
import { PoolName } from '../domain/ids.ts';
import { AwsRule } from './enrolment.ts';

/** Hosts that may carry the same tenants, and what its tenants share. */
export const Pool = z.object({
  pool: PoolName,
  hosts: z.number(),
  tenants: z.number(),
  /** The names of its variables. */
  variables: z.array(z.string()),
});
export type Pool = z.infer<typeof Pool>;

export const PoolDetail = Pool.extend({
  /** Above the app's and the release's, below the tenant's. */
  variables: z.record(z.string(), z.string()),
  /** Which machines join by themselves; null: none, each needs a token. */
  join: z.object({ aws: AwsRule.nullable() }).optional(),
});
export type PoolDetail = z.infer<typeof PoolDetail>;

export const PoolVariables = z.object({
  pool: PoolName,
  result: z.enum(['changed', 'unchanged']),
  /** All of the pool's variables from now on. They reach a tenant with its next change. */
  variables: z.record(z.string(), z.string()),
});
export type PoolVariables = z.infer<typeof PoolVariables>;
