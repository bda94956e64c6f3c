import type { RemovalCandidate } from '../plan/input.ts';
import type { Clock, Reports, Statuses } from './ports.ts';
import type { Berth } from './tenants.ts';
import type { Voice } from './voice.ts';

/** Asks the coordinator before a tenant is removed, and tells it once the tenant is gone; each is said once. */
export async function tellRemoval(
  removal: RemovalCandidate,
  berth: Berth,
  deps: { reports: Reports; voice: Voice; clock: Clock; statuses: Statuses },
): Promise<void> {
  const { tenant, generation } = removal;
  const { reports, voice, clock, statuses } = deps;
  if (removal.state === 'ask') {
    const request = { tenant, generation, containers: removal.containers.slice(0, 200) };
    const text = JSON.stringify(request);
    if (berth.said === text) return;
    berth.said = text;
    reports.removal(request);
    return;
  }
  if (berth.phase === 'removed') return;
  berth.phase = 'removed';
  const nothing = { live: null, steps: [], problem: null, retryAt: null, containers: [] };
  reports.tenant({ tenant, generation, phase: 'removed', at: clock.now(), ...nothing });
  const message = 'Its containers and network are gone; its volumes stay.';
  voice.happened(tenant, { kind: 'tenant.removed', generation, message, problem: null });
  if (statuses.all().has(tenant)) await statuses.remove(tenant).catch(() => undefined);
}
