import type { AccessScope } from '@berth/shared/domain/access';
import type { DesiredTenant } from '@berth/shared/domain/desired';
import type { RolloutAct, Tag } from '@berth/shared/domain/rollout';
import type { Traffic } from '@berth/shared/domain/traffic';
import type { TenantHistoryEntry } from '@berth/shared/api/rollouts';
import type { ReportedFact, Rollout, RolloutTenant } from '../rollout/types.ts';

export type { RolloutTenant };

/** A rollout without its tenants, and who made it. Times are milliseconds since 1970. */
export interface RolloutRecord extends Omit<Rollout, 'tenants'> {
  startedBy: string;
  createdAt: number;
  updatedAt: number;
  endedAt: number | null;
  /** What stopped it and what people did to it, oldest first. */
  acts: readonly RolloutAct[];
  /** The last event before it. */
  afterEvent: number;
}

/** What rollouts need to know of a tenant: its record, its host's connection and its agent's last word. */
export interface TenantFactRecord {
  tenant: string;
  app: string;
  release: number;
  generation: number;
  state: 'running' | 'paused' | 'removing';
  host: string;
  hostName: string;
  connection: 'online' | 'offline';
  tags: Tag[];
  pinned: string | null;
  window: string | null;
  reported: ReportedFact | null;
}

export interface TrafficRow {
  tenant: string;
  generation: number;
  slot: number;
  traffic: Traffic;
}

export interface RolloutReads {
  /** Inside a transaction it is held until its end. */
  rollout(rollout: number): Promise<RolloutRecord | null>;
  /** Newest first, below `before`. */
  rollouts(
    filter: { app?: string | undefined; scope?: AccessScope | undefined },
    before: number | undefined,
    limit: number,
  ): Promise<RolloutRecord[]>;
  /** Those that are not over, oldest first. */
  openRollouts(): Promise<RolloutRecord[]>;
  /** All of a rollout's tenants, by wave and position. */
  rolloutTenants(rollout: number): Promise<RolloutTenant[]>;
  /** What was desired of the tenant before the rollout began it; null before that. */
  desiredBefore(rollout: number, tenant: string): Promise<DesiredTenant | null>;

  /** The named tenants; who is no more is left out. One query for up to some hundred names. */
  tenantFacts(tenants: readonly string[]): Promise<TenantFactRecord[]>;
  tenantFactsOfApp(app: string): Promise<TenantFactRecord[]>;
  /**
   * Samples in slots that began at or after `since`, by tenant, slot and generation; those of several runs of an agent
   * are added up.
   */
  traffic(tenants: readonly string[], since: number): Promise<TrafficRow[]>;
  /** Newest first. */
  tenantHistory(tenant: string, limit: number): Promise<TenantHistoryEntry[]>;
}

export interface RolloutWrites {
  /** Answers the new rollout's number. */
  insertRollout(record: Omit<RolloutRecord, 'rollout'>, tenants: readonly RolloutTenant[]): Promise<number>;
  /** State, wave, waves, forgiven, acts, times; the rest never changes. */
  updateRollout(record: RolloutRecord): Promise<void>;
  /** Progress and traffic before. */
  updateRolloutTenants(rollout: number, tenants: readonly RolloutTenant[]): Promise<void>;
  setDesiredBefore(rollout: number, entries: readonly DesiredTenant[]): Promise<void>;

  setFrozen(app: string, reason: string | null): Promise<void>;
  setCurrent(app: string, release: number): Promise<void>;
  setRolloutSettings(
    tenant: string,
    settings: { tags: readonly Tag[]; pinned: string | null; window: string | null },
  ): Promise<void>;
  /** Drops samples of slots that began before. */
  pruneTraffic(before: number): Promise<void>;
}
