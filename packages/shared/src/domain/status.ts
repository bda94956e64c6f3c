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

/** How many release commands are remembered of one tenant. */
export const RELEASED_MAX = 50;

/** One release command, known by what it is for. */
export const Released = z.strictObject({
  /** `releaseKeyOf` the release: names its image, command and number, so that it runs once for each. */
  key: z.string(),
  /**
   * `running` is written down before it starts. `unknown`: its container was gone before anybody saw how it ended; it is
   * not run again until an operator has said what to make of it.
   */
  outcome: z.enum(['running', 'succeeded', 'failed', 'unknown']),
  /** Whose container ran it last; null where that was not written down. */
  generation: z.int().nullable().default(null),
  /** How often it was started; an operator's word is about one of them. */
  runs: z.int().min(0).default(1),
});
export type Released = z.infer<typeof Released>;

export const TenantStatus = z.strictObject({
  tenant: TenantName,
  /** The generation that was verified and serves. */
  live: z.int().nullable(),
  move: Move,
  failure: Failure.nullable(),
  /** The release commands that were run, the last one last. */
  released: z.array(Released).max(RELEASED_MAX),
  /** This status was made anew from what ran: of commands up to this release only what `released` holds is known. */
  forgotten: z.int().optional(),
  /** What the live generation, and the one before while it is kept, were made of. */
  known: z.array(DesiredTenant).max(3),
});
export type TenantStatus = z.infer<typeof TenantStatus>;

export function newStatus(tenant: string): TenantStatus {
  return { tenant, live: null, move: { kind: 'idle' }, failure: null, released: [], known: [] };
}
