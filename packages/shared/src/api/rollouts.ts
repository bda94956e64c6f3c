import { z } from 'zod';
import { plainText } from '../domain/access.ts';
import { AppName, HostId, TenantName } from '../domain/ids.ts';
import {
  Judged,
  RolloutAct,
  RolloutPolicy,
  RolloutState,
  SkipReason,
  TenantProgress,
  WaveSpec,
  WaveState,
} from '../domain/rollout.ts';
import { Change } from './schemas.ts';

/** Times are milliseconds since 1970. */

export const StartRollout = z.strictObject({
  app: AppName,
  /** Release to move to. */
  to: z.int().min(1),
  policy: RolloutPolicy,
  /** When the app has a rollout already: `refuse` with a conflict, or wait behind it. */
  whenBusy: z.enum(['refuse', 'queue']).default('refuse'),
});
export type StartRollout = z.infer<typeof StartRollout>;

export const PlanRollout = z.strictObject({
  app: AppName,
  to: z.int().min(1),
  policy: RolloutPolicy,
  /** With each tenant's changes, for at most so many tenants. */
  changesOf: z.int().min(0).max(1000).default(20),
});

/** One tenant as it would be moved. `now`: what it would be at this moment, such as skipped. */
export const PlannedTenant = z.object({
  tenant: TenantName,
  host: HostId,
  hostName: z.string(),
  fromRelease: z.number(),
  now: TenantProgress,
  /** Null beyond `changesOf`. */
  changes: z.array(Change).nullable(),
  /** Why its new release does not work out with its variables; it would fail. */
  error: z.string().nullable(),
});
export const RolloutPlan = z.object({
  app: AppName,
  to: z.number(),
  waves: z.array(z.object({ spec: WaveSpec, tenants: z.array(PlannedTenant) })),
  /** Tenants of the app that no wave takes, or that have the release already. */
  untouched: z.array(TenantName),
  /** Sentences, such as an irreversible migration or a wave that names nobody. */
  warnings: z.array(z.string()),
});
export type RolloutPlan = z.infer<typeof RolloutPlan>;

const Counts = z.object({
  pending: z.number(),
  skipped: z.number(),
  moving: z.number(),
  live: z.number(),
  moved: z.number(),
  failed: z.number(),
  returning: z.number(),
  returned: z.number(),
  stuck: z.number(),
});
export type Counts = z.infer<typeof Counts>;

export const RolloutWave = z.object({
  wave: z.number(),
  spec: WaveSpec,
  state: WaveState,
  counts: Counts,
  /**
   * Requests of its tenants since they moved, and in the day before, where both are known. Once the wave was judged these
   * are the figures on which it was.
   */
  traffic: Judged.nullable(),
});
export type RolloutWave = z.infer<typeof RolloutWave>;

/** A tenant that is waited for. `opensAt`: when its window opens, where that is what it waits for. */
export const Awaited = z.object({
  tenant: TenantName,
  reason: SkipReason,
  window: z.string().nullable(),
  opensAt: z.number().nullable(),
});
export type Awaited = z.infer<typeof Awaited>;

export const Rollout = z.object({
  rollout: z.number(),
  app: AppName,
  to: z.number(),
  policy: RolloutPolicy,
  state: RolloutState,
  /** What keeps it from going on just now, in a sentence: a freeze, a window, an approval. */
  held: z.string().nullable(),
  /**
   * Set when nothing goes on before tenants that were skipped can be moved: nobody of its wave can be now, or every wave
   * has passed. With the first of them, by when their windows open. Null in lists.
   */
  awaits: z.object({ tenants: z.number(), first: z.array(Awaited) }).nullable(),
  wave: z.number(),
  waves: z.array(RolloutWave),
  counts: Counts,
  /** How many of those that are returning are on hosts that are offline, so that they have not heard of it. Not in lists. */
  unheard: z.number().optional(),
  failures: z.number(),
  startedBy: z.string(),
  createdAt: z.number(),
  updatedAt: z.number(),
  endedAt: z.number().nullable(),
  /** What stopped it and what people did to it, oldest first; the newest 200. */
  acts: z.array(RolloutAct).optional(),
  /** Follow /events/stream after this. */
  afterEvent: z.number(),
});
export type Rollout = z.infer<typeof Rollout>;

export const RolloutTenant = z.object({
  tenant: TenantName,
  wave: z.number(),
  position: z.number(),
  /** Null: the tenant is no more. */
  host: HostId.nullable(),
  hostName: z.string(),
  /** Whether its host's agent is heard; null: the tenant is no more. */
  connection: z.enum(['online', 'offline']).nullable(),
  fromRelease: z.number(),
  progress: TenantProgress,
  /** The agent's step under way, when there is one. */
  step: z.string().nullable(),
  traffic: Judged.nullable(),
});
export type RolloutTenant = z.infer<typeof RolloutTenant>;

export const RolloutAction = z.strictObject({
  reason: plainText(500, 0).optional(),
  /** Go back past a release command that is marked irreversible. */
  pastIrreversible: z.literal(true).optional(),
});

/** One thing that happened to a tenant's release, newest first. */
export const TenantHistoryEntry = z.object({
  at: z.number(),
  by: z.string(),
  what: z.enum(['created', 'changed', 'restarted', 'moved', 'returned', 'rolled-back', 'failed']),
  release: z.number(),
  generation: z.number(),
  rollout: z.number().nullable(),
  /** How long it took until it served; null when it never did, or does not yet. */
  ms: z.number().nullable(),
  message: z.string(),
});
export type TenantHistoryEntry = z.infer<typeof TenantHistoryEntry>;

/** An entry with what the tenant's agent has said since. `returning`: a way back that is not over. */
export const TenantHistoryShown = TenantHistoryEntry.extend({
  what: z.enum([...TenantHistoryEntry.shape.what.options, 'returning']),
  /** What a way back waits for: its host is offline. */
  hold: z.enum(['offline']).nullable(),
});
export type TenantHistoryShown = z.infer<typeof TenantHistoryShown>;
