import type { DesiredState } from '@berth/shared/domain/desired';
import type { ErrorCode } from '@berth/shared/domain/errors';
import type { TenantNetwork } from '@berth/shared/domain/network';
import type { ObservedHost } from '@berth/shared/domain/observed';
import type { TenantStatus } from '@berth/shared/domain/status';
import type { Step } from '@berth/shared/domain/step';

/** What never changes while an agent runs, as far as planning cares. */
export interface PlanSettings {
  /** The agent's short id: prefix of container names, value of the `berth.agent` label. */
  agent: string;
  /** Virtual addresses, one per route; as many of them as the tenants' range has addresses. */
  virtualCidr: string;
  /** The tenants' networks are cut out of this range. */
  tenantCidr: string;
  /** Length of one tenant's prefix: 26 gives 61 containers a tenant and 1,024 tenants in a /16. */
  tenantPrefix: number;
  /** What the tenants' bridges' names begin with. */
  bridgePrefix: string;
}

export interface PlanInput {
  desired: DesiredState;
  /** `observe`: change nothing but put lost routes back. */
  mode: 'apply' | 'observe';
  statuses: ReadonlyMap<string, TenantStatus>;
  observed: ObservedHost;
  /** Networks that steps under way are about to make; their slots are taken. */
  reserved: readonly TenantNetwork[];
  /** Tenants whose steps are under way: they get no plan now, only their sites and networks. */
  busy?: ReadonlySet<string>;
  settings: PlanSettings;
  /** Milliseconds since 1970. */
  now: number;
}

/** What a tenant's steps lead to. */
export type Goal =
  | { kind: 'move'; generation: number }
  | { kind: 'finish'; generation: number }
  | { kind: 'return'; generation: number; to: number | null }
  | { kind: 'keep'; generation: number | null }
  /** A release command that runs is waited for before this generation is made. */
  | { kind: 'await'; generation: number }
  | { kind: 'pause' }
  | { kind: 'remove' };

export interface TenantPlan {
  tenant: string;
  goal: Goal;
  /** In order; empty when there is nothing to do now. */
  steps: Step[];
  /** When to look again though nothing changes; null for never. */
  nextAt: number | null;
  /** Why the desired generation cannot even be planned. */
  obstacle: { code: ErrorCode; message: string } | null;
}

export interface RemovalCandidate {
  tenant: string;
  generation: number;
  /** Names of the containers that would stop. */
  containers: string[];
  state: 'ask' | 'gone';
}

export interface HostPlan {
  /** Steps that concern the host as a whole. */
  host: Step[];
  tenants: TenantPlan[];
  removals: RemovalCandidate[];
  /** Tenants with steps under way whose routes lead to a container that is gone: what they do makes way for a new plan. */
  deserted: string[];
  /** Tenants that run here and that nobody desires: reported, never touched. */
  orphans: string[];
}
