import type { EventFeed } from './events.ts';
import type { FleetPort } from './fleet-port.ts';

/** Each of these is written in the transaction that changes what is desired of its host. */
const TELLING: ReadonlySet<string> = new Set(['tenant.created', 'tenant.changed', 'rollout.tenant']);

/**
 * Several coordinators on one database: an agent is connected to one of them, and what another one changed is on record
 * with an event. The event is only a hint to read the host's desired state again. Resolves when the signal ends.
 */
export async function followHints(
  feed: EventFeed,
  fleet: Pick<FleetPort, 'changed'>,
  signal: AbortSignal,
): Promise<void> {
  for await (const events of feed.follow(await feed.last(), {}, signal)) {
    const hosts = new Set(
      events.flatMap(({ kind, host }) => (host !== null && TELLING.has(kind) ? [host] : [])),
    );
    for (const host of hosts) fleet.changed(host);
  }
}
