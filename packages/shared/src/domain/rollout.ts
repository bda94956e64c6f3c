import { z } from 'zod';
import { ERROR_CODES } from './errors.ts';
import { TenantName } from './ids.ts';
import { Traffic } from './traffic.ts';

/**
 * `canary` or `tier=free`. The tag `canary` goes first in every rollout. A number and `all` are no tags: written as a
 * wave they mean something else.
 */
export const Tag = z
  .string()
  .max(80)
  .regex(/^(?!\d+$|all$)[a-z0-9][a-z0-9._-]*(=[a-z0-9][a-z0-9._-]*)?$/, {
    error:
      'a tag is a word such as canary, or key=value such as tier=free, of a-z, 0-9, ".", "_" and "-"; ' +
      'a number and "all" are no tags',
  });
export type Tag = z.infer<typeof Tag>;
export const CANARY: Tag = 'canary';

/** The least share a wave may have; smaller numbers would not be written as people write them. */
export const LEAST_PERCENT = 0.001;

/**
 * Who belongs to a wave. Shares and counts are cumulative (5 %, 25 %, 100 %): a wave fills up to so much of all tenants
 * in the rollout's order. Tags and names take whom they name. Nobody is in two waves; the first that fits has them.
 */
export const WaveTarget = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('share'), percent: z.number().min(LEAST_PERCENT).max(100) }),
  z.strictObject({ kind: z.literal('count'), count: z.int().min(1) }),
  z.strictObject({ kind: z.literal('tag'), tag: Tag }),
  z.strictObject({ kind: z.literal('tenants'), tenants: z.array(TenantName).min(1).max(1000) }),
]);
export type WaveTarget = z.infer<typeof WaveTarget>;

export const WaveSpec = z.strictObject({
  target: WaveTarget,
  /** `ask`: the wave begins when somebody has approved it. */
  approval: z.enum(['none', 'ask']).default('none'),
});
export type WaveSpec = z.infer<typeof WaveSpec>;

/** How much worse than the same tenants' own past is too much. */
export const TrafficBudget = z.strictObject({
  /** Rise of the share of 5xx answers, 0 to 1. */
  errorRate: z.number().min(0).max(1).default(0.02),
  /** The p95 latency may grow to this many times the past's, */
  latencyFactor: z.number().min(1).default(1.5),
  /** and by this many milliseconds besides. */
  latencyMs: z.number().min(0).default(50),
  /** Fewer requests than this, now or in the past, are not judged. */
  minRequests: z.int().min(1).default(50),
});
export type TrafficBudget = z.infer<typeof TrafficBudget>;

export const RolloutPolicy = z.strictObject({
  waves: z.array(WaveSpec).min(1).max(50),
  /** How long a wave is watched after its last tenant serves; milliseconds. */
  bakeMs: z.int().min(0).max(86_400_000).default(120_000),
  /** So many tenants may fail; one more halts the rollout. */
  maxFailures: z.int().min(0).default(0),
  onFailure: z.enum(['pause', 'rollback']).default('pause'),
  perHost: z.int().min(1).max(100).default(4),
  atOnce: z.int().min(1).max(5000).default(20),
  /** Tags in the order in which their tenants go; the rest comes after them. Canaries are always first. */
  order: z.array(Tag).max(20).default([]),
  traffic: TrafficBudget.prefault({}),
  /** A tenant that is blocked or silent for longer than this has failed; milliseconds. */
  moveTimeoutMs: z.int().min(1000).max(86_400_000).default(600_000),
});
export type RolloutPolicy = z.infer<typeof RolloutPolicy>;

/**
 * `queued` waits for the app's other rollout. `paused` by a failure is a halt. `waiting`: every wave has passed, and
 * tenants that were skipped are picked up when they can be. The last three never change again.
 */
export const RolloutState = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('queued') }),
  z.strictObject({ kind: z.literal('running') }),
  z.strictObject({
    kind: z.literal('paused'),
    by: z.enum(['operator', 'failure']),
    reason: z.string().max(2000),
    /** Its turn had not come yet: resumed, it is queued again. */
    from: z.literal('queued').optional(),
  }),
  z.strictObject({
    kind: z.literal('rolling-back'),
    /** `under-way`: it is being aborted, and who did not serve yet goes back. */
    scope: z.enum(['wave', 'all', 'under-way']),
    reason: z.string().max(2000),
  }),
  z.strictObject({ kind: z.literal('waiting') }),
  z.strictObject({ kind: z.literal('completed') }),
  z.strictObject({ kind: z.literal('rolled-back'), reason: z.string().max(2000) }),
  z.strictObject({ kind: z.literal('aborted'), reason: z.string().max(2000) }),
]);
export type RolloutState = z.infer<typeof RolloutState>;

export function isOver(state: RolloutState): boolean {
  return state.kind === 'completed' || state.kind === 'rolled-back' || state.kind === 'aborted';
}

/** Whether its turn has not come yet, be it paused or not: nothing of it has begun. */
export function isQueued(state: RolloutState): boolean {
  return state.kind === 'queued' || (state.kind === 'paused' && state.from === 'queued');
}

/** What a look at the requests says of a tenant or a wave. Too little to tell is never good. */
export const Verdict = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('good') }),
  z.strictObject({ kind: z.literal('bad'), why: z.string().max(500) }),
  z.strictObject({ kind: z.literal('not-judged'), why: z.string().max(500) }),
]);
export type Verdict = z.infer<typeof Verdict>;

/** Requests in the day before the move and since, and what they say. */
export const Judged = z.strictObject({ before: Traffic, after: Traffic, verdict: Verdict });
export type Judged = z.infer<typeof Judged>;

/** `traffic`: the figures on which a wave was judged, where there were any. */
export const WaveState = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('pending') }),
  /** Somebody has to approve it: as asked for, or because nobody of the wave before could be moved. */
  z.strictObject({ kind: z.literal('awaiting-approval'), why: z.string().max(500) }),
  z.strictObject({ kind: z.literal('moving'), since: z.number() }),
  z.strictObject({ kind: z.literal('baking'), since: z.number(), until: z.number() }),
  z.strictObject({
    kind: z.literal('passed'),
    at: z.number(),
    judged: z.string().max(500),
    traffic: Judged.optional(),
  }),
  z.strictObject({
    kind: z.literal('failed'),
    at: z.number(),
    why: z.string().max(2000),
    traffic: Judged.optional(),
  }),
  z.strictObject({ kind: z.literal('rolled-back'), at: z.number(), traffic: Judged.optional() }),
  /** The rollout was aborted before the wave had passed. */
  z.strictObject({ kind: z.literal('aborted'), at: z.number(), traffic: Judged.optional() }),
]);
export type WaveState = z.infer<typeof WaveState>;

/**
 * Something that stopped a rollout, or that somebody did to it. `asked`: a wave asked for approval. `by`: null where it came
 * by itself. `why`: the reason that was given, or what halted it.
 */
export const RolloutAct = z.object({
  at: z.number(),
  by: z.string().nullable(),
  what: z.enum([
    'halted',
    'wave-rolled-back',
    'asked',
    'paused',
    'resumed',
    'approved',
    'retried',
    'aborted',
    'rolled-back',
  ]),
  /** The wave that was on, counted from 1. */
  wave: z.number(),
  why: z.string().nullable(),
});
export type RolloutAct = z.infer<typeof RolloutAct>;

/** Why a tenant is not moved now. All but `removed`, `changed` and `current` may end, and then it is picked up. */
export const SkipReason = z.enum([
  'offline', // its host is not connected
  'pinned', // somebody pinned it to its release
  'window', // outside of its maintenance window
  'paused', // the tenant is paused
  'removed', // it was deleted meanwhile
  'changed', // somebody changed it by hand meanwhile
  'current', // it has the release already
]);
export type SkipReason = z.infer<typeof SkipReason>;

export const RolloutProblem = z.strictObject({ code: z.enum(ERROR_CODES), message: z.string().max(2000) });
export type RolloutProblem = z.infer<typeof RolloutProblem>;

/** Why a tenant goes back: it failed itself and counts against the budget, or the rollout takes it back. */
export const ReturnCause = z.enum(['failure', 'rollback']);
export type ReturnCause = z.infer<typeof ReturnCause>;

/** Where one tenant stands in a rollout. `generation` is the one it moves, or returns, to. */
export const TenantProgress = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('pending') }),
  z.strictObject({ kind: z.literal('skipped'), reason: SkipReason }),
  z.strictObject({ kind: z.literal('moving'), generation: z.int(), since: z.number() }),
  /** Serves the new release; its wave has not passed yet. */
  z.strictObject({ kind: z.literal('live'), generation: z.int(), since: z.number() }),
  z.strictObject({ kind: z.literal('moved'), generation: z.int(), at: z.number() }),
  /** The old release serves, or, where `stays` says why, nobody goes back. */
  z.strictObject({
    kind: z.literal('failed'),
    generation: z.int().nullable(),
    at: z.number(),
    problem: RolloutProblem,
    stays: z.string().max(500).nullable(),
  }),
  z.strictObject({
    kind: z.literal('returning'),
    generation: z.int(),
    since: z.number(),
    why: z.string().max(2000),
    cause: ReturnCause,
  }),
  z.strictObject({
    kind: z.literal('returned'),
    generation: z.int(),
    at: z.number(),
    why: z.string().max(2000),
    cause: ReturnCause,
  }),
  /** The way back failed too; nobody tries again by himself. */
  z.strictObject({
    kind: z.literal('stuck'),
    at: z.number(),
    problem: RolloutProblem,
    cause: ReturnCause,
  }),
]);
export type TenantProgress = z.infer<typeof TenantProgress>;
