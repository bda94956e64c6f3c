import type {
  ReturnCause,
  RolloutPolicy,
  RolloutProblem,
  RolloutState,
  TenantProgress,
  WaveState,
} from '@berth/shared/domain/rollout';
import type { Traffic } from '@berth/shared/domain/traffic';
import type { Window } from '@berth/shared/domain/window';
import type { TenantReport } from '@berth/shared/protocol/report';

/** A rollout as it is kept, whole. Times are milliseconds since 1970, waves count from 0. */
export interface Rollout {
  rollout: number;
  app: string;
  to: number;
  policy: RolloutPolicy;
  state: RolloutState;
  /** The wave that is on; the number of waves when all have passed. */
  wave: number;
  waves: readonly WaveState[];
  /** Failures that an operator has accepted by going on. */
  forgiven: number;
  /** Whether nobody may go back past the release command of `to` by himself. */
  reversal: 'free' | 'irreversible';
  /** By wave, then by position. */
  tenants: readonly RolloutTenant[];
}

export interface RolloutTenant {
  tenant: string;
  wave: number;
  position: number;
  fromRelease: number;
  fromGeneration: number;
  progress: TenantProgress;
  /** Its requests in the day before it moved; null until it has begun, or when there were none. */
  before: Traffic | null;
}

/** What is known of a tenant now. */
export interface TenantFact {
  host: string;
  connection: 'online' | 'offline';
  release: number;
  generation: number;
  state: 'running' | 'paused' | 'removing';
  pinned: string | null;
  window: Window | null;
  reported: ReportedFact | null;
  /** Its requests since it serves the release of the rollout. */
  after: Traffic | null;
}

export interface ReportedFact {
  /** The generation that its agent was told. */
  generation: number;
  live: number | null;
  phase: TenantReport['phase'];
  problem: RolloutProblem | null;
}

export interface Facts {
  /** Why the app is frozen; null when it is not. */
  frozen: string | null;
  /** The app's rollout that is before this one; null when it is its turn. */
  ahead: number | null;
  /** Null: the tenant is no more. */
  tenant(name: string): TenantFact | null;
  /** Whether all is counted that a wave's tenants served while it baked, which was until then. */
  counted(wave: number, until: number): Counted;
}

export type Counted =
  | { kind: 'awaited' }
  | { kind: 'complete' }
  /** Some of it will not come; half a sentence on why. */
  | { kind: 'missing'; why: string };

/**
 * What is to be done next, in order. All decisions of one call are applied in one transaction, or none is; so a
 * coordinator that dies after any of them repeats nothing.
 */
export type Decision =
  /** The tenant's desired state becomes the new release; its progress becomes `moving`, or `failed` if it cannot. */
  | { kind: 'begin'; tenant: string }
  /** Its desired state becomes what it was before the rollout; its progress becomes `returning`. */
  | { kind: 'return'; tenant: string; why: string; cause: ReturnCause }
  /** Its desired state becomes what it was, since that is what serves; its progress stays as it is. */
  | { kind: 'restore'; tenant: string }
  | { kind: 'progress'; tenant: string; progress: TenantProgress }
  | { kind: 'wave'; wave: number; state: WaveState }
  | { kind: 'state'; state: RolloutState }
  /** The wave that is on from now. */
  | { kind: 'advance'; wave: number };
