import type { EventFeed } from './events.ts';
import type { FleetPort } from './fleet-port.ts';

/** Each of these is written in the transaction that changes what is desired of its host. */
const TELLING: ReadonlySet<string> = new Set(['tenant.created', 'tenant.changed', 'rollout.tenant']);
/** After this hosts of the pool are told anew whose releases they run. */
const SIGNING = 'pool.signers';
/** After these a host's key is no more, or another one. */
const REKEYING: ReadonlySet<string> = new Set(['host.removed', 'host.reenrolled']);

/**
 * Several coordinators on one database: an agent is connected to one of them, and what another one changed is on record
 * with an event. The event is only a hint to read the host's desired state, or its key, again. Resolves when the signal
 * ends.
 */
export async function followHints(
  feed: EventFeed,
  fleet: Pick<FleetPort, 'changed' | 'recheck' | 'signersChanged'>,
  signal: AbortSignal,
): Promise<void> {
  for await (const events of feed.follow(await feed.last(), {}, signal)) {
    const hostsOf = (kinds: ReadonlySet<string>): Set<string> =>
      new Set(events.flatMap(({ kind, host }) => (host !== null && kinds.has(kind) ? [host] : [])));
    for (const host of hostsOf(TELLING)) fleet.changed(host);
    for (const { kind, details } of events)
      if (kind === SIGNING && typeof details['pool'] === 'string') fleet.signersChanged(details['pool']);
    for (const host of hostsOf(REKEYING)) await fleet.recheck(host);
  }
}
