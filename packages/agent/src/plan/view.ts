import type { ObservedContainer } from '@berth/shared/domain/observed';
import type { TenantNetwork } from '@berth/shared/domain/network';
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
}
