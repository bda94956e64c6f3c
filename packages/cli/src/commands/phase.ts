import type { Tenant } from '@berth/shared/api/schemas';
import { unreachable } from '@berth/shared/domain/errors';
import { phaseWord } from '../output/format.ts';
import type { Style } from '../output/style.ts';

/** A tenant's phase in colour; `?` when its host is offline, so that nobody takes an old word for a new one. */
export function phaseText(tenant: Pick<Tenant, 'phase' | 'freshness' | 'state'>, style: Style): string {
  const stale = tenant.freshness === 'stale' ? style.yellow(' (host offline)') : '';
  const removing =
    tenant.state === 'removing' && tenant.phase !== 'removing' ? style.yellow(' (removing)') : '';
  return `${paint(tenant.phase, style)}${removing}${stale}`;
}

function paint(phase: Tenant['phase'], style: Style): string {
  switch (phase) {
    case 'settled':
    case 'baking':
      return style.green(phaseWord(phase));
    case 'failed':
    case 'blocked':
    case 'returning':
      return style.red(phase);
    case 'moving':
    case 'waiting':
    case 'removing':
      return style.cyan(phase);
    case 'paused':
    case 'removed':
      return style.yellow(phase);
    default:
      return unreachable(phase);
  }
}
