import { z } from 'zod';
import { DesiredTenant } from './desired.ts';
import { TenantName } from './ids.ts';
import { Problem } from './step.ts';

/**
 * What the agent remembers of one tenant across restarts. Everything else is observed anew.
 *
 * `idle` — nothing is under way.
 * `preparing` — the new colour is being made; the old one serves, untouched.
 * `switched` — the route leads to the new colour; it has not been verified yet.
 * `baking` — verified; the old colour drains, stops, and is kept until `until` for instant return.
 * `returning` — going back to the old colour because of `why`.
 */
export const Move = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('idle') }),
  z.strictObject({ kind: z.literal('preparing'), generation: z.int(), since: z.number() }),
  z.strictObject({
    kind: z.literal('switched'),
    generation: z.int(),
    from: z.int().nullable(),
    since: z.number(),
  }),
  z.strictObject({
    kind: z.literal('baking'),
    generation: z.int(),
    from: z.int().nullable(),
    until: z.number(),
  }),
  z.strictObject({ kind: z.literal('returning'), generation: z.int(), to: z.int().nullable(), why: Problem }),
]);
export type Move = z.infer<typeof Move>;

export const Failure = z.strictObject({
  generation: z.int(),
  problem: Problem,
  attempts: z.int().min(1),
  /** When it is tried again; null: not until something changes. */
  retryAt: z.number().nullable(),
});
export type Failure = z.infer<typeof Failure>;

export const TenantStatus = z.strictObject({
  tenant: TenantName,
  /** The generation that was verified and serves. */
  live: z.int().nullable(),
  move: Move,
  failure: Failure.nullable(),
  /** The release command that was run last; `key` names its image, command and release, so that it runs once for each. */
  released: z.strictObject({ key: z.string(), outcome: z.enum(['succeeded', 'failed']) }).nullable(),
  /** What the live generation, and the one before while it is kept, were made of. */
  known: z.array(DesiredTenant).max(3),
});
export type TenantStatus = z.infer<typeof TenantStatus>;

export function newStatus(tenant: string): TenantStatus {
  return { tenant, live: null, move: { kind: 'idle' }, failure: null, released: null, known: [] };
}
