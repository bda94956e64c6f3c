import type { ObservedContainer } from '@berth/shared/domain/observed';
import type { RouteEntry, TenantNetwork } from '@berth/shared/domain/network';
import type { TenantStatus } from '@berth/shared/domain/status';

/** What the steps of one tenant are planned from. */
export interface TenantView {
  status: TenantStatus;
  /** All of the tenant's containers. */
  containers: readonly ObservedContainer[];
  network: TenantNetwork;
  /** `missing` until Docker has it. */
  networkState: 'present' | 'missing';
  virtuals: ReadonlyMap<string, string>;
  /** Addresses that some route of the host leads to now. */
  routed: ReadonlySet<string>;
  /** Routes of the host that lead where there is no container; hardly ever any. */
  toNobody: readonly RouteEntry[];
}
