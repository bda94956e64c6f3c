import type { TenantSpec } from '@berth/shared/domain/spec';
import type { Need } from './placement.ts';

/** Sums the reservations of all replicas; only services that run in two colours at once have a surge. */
export function needOf(spec: TenantSpec): Need {
  const need: Need = { memoryBytes: 0, cpus: 0, surgeBytes: 0 };
  for (const service of spec.services) {
    const memory = service.reservation.memoryBytes * service.replicas;
    need.memoryBytes += memory;
    need.cpus += service.reservation.cpus * service.replicas;
    if (service.strategy === 'blue-green') need.surgeBytes += memory;
  }
  // Sums of tenths would otherwise carry their rounding into the sentences people read.
  return { ...need, cpus: Math.round(need.cpus * 1000) / 1000 };
}
