import type { FleetStore, HelloRecord } from './fleet-store.ts';

/** Finds the hosts that say hello: all that come within one turn of the event loop are one read. */
export interface Lookups {
  /** Null when no such host is enrolled. Errors: whatever the store threw, for everyone of that read. */
  find(host: string): Promise<HelloRecord | null>;
}

interface Round {
  hosts: Set<string>;
  found: Promise<ReadonlyMap<string, HelloRecord>>;
}

export function createLookups(store: Pick<FleetStore, 'hostsForHello'>): Lookups {
  let gathering: Round | null = null;

  function begin(): Round {
    const hosts = new Set<string>();
    const found = new Promise<void>((resolve) => setImmediate(resolve)).then(() => {
      gathering = null;
      return store.hostsForHello([...hosts]);
    });
    return { hosts, found };
  }

  return {
    async find(host) {
      gathering ??= begin();
      gathering.hosts.add(host);
      return (await gathering.found).get(host) ?? null;
    },
  };
}
