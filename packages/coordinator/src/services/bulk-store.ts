import type { Counts } from '@berth/shared/api/rollouts';
import type { DesiredTenant } from '@berth/shared/domain/desired';
import type { RolloutTenant } from '../rollout/types.ts';
import type { TenantHistoryEntry } from '@berth/shared/api/rollouts';
import type { TenantRecord, VariableRecord } from './records.ts';

/** How the tenants of a wave stand; `failures` counts also those that went back since. */
export interface WaveCounts extends Counts {
  failures: number;
}

/** Many tenants in a few statements each: what a rollout does to a hundred of them at a time. */
export interface BulkReads {
  /** By name; inside a transaction they are held until it ends. Who is no more is left out. */
  tenantsNamed(tenants: readonly string[]): Promise<TenantRecord[]>;
  /** The tenants' own variables; a tenant without any is left out. */
  variablesOfTenants(
    tenants: readonly string[],
  ): Promise<ReadonlyMap<string, { name: string; value: string }[]>>;
  /** The newest version of each of the tenants' secrets; a tenant without any is left out. */
  secretsOfTenants(tenants: readonly string[]): Promise<ReadonlyMap<string, VariableRecord[]>>;
  /** The highest generation that each tenant ever had, here or in its agent's words. */
  lastGenerations(tenants: readonly string[]): Promise<ReadonlyMap<string, number>>;
  /** What was desired of each before the rollout began it; who was not begun is left out. */
  desiredBeforeOf(rollout: number, tenants: readonly string[]): Promise<ReadonlyMap<string, DesiredTenant>>;
  /** How the tenants of each rollout stand, by wave; rollouts without tenants are left out. */
  progressCounts(rollouts: readonly number[]): Promise<ReadonlyMap<number, ReadonlyMap<number, WaveCounts>>>;
}

export interface BulkWrites extends BulkReads {
  /** Release, generation, routes, reservations and the time of each. */
  moveTenants(records: readonly TenantRecord[]): Promise<void>;
  /** Writes the entries and raises each host's revision once. The tenants must be on these hosts already. */
  putDesiredOf(entries: readonly { host: string; entry: DesiredTenant }[]): Promise<void>;
  /** What is desired of the tenants now becomes what was desired of them before the rollout. */
  keepDesired(rollout: number, tenants: readonly string[]): Promise<void>;
  /** All tenants of the rollout, instead of those it had. */
  replaceRolloutTenants(rollout: number, tenants: readonly RolloutTenant[]): Promise<void>;
  /** Adds one entry to each tenant's history; earlier ones stay as they are. No tenant twice, and each is held already. */
  putHistories(entries: readonly { tenant: string; entry: TenantHistoryEntry }[]): Promise<void>;
  /**
   * Fills in how long it took, or that it failed, in the newest entry of that generation; one that has its time keeps it.
   * No error when there is no such entry.
   */
  endHistories(
    ends: readonly { tenant: string; generation: number; ms: number | null; failed: string | null }[],
  ): Promise<void>;
}
