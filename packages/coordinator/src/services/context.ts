import type { FleetPort } from './fleet-port.ts';
import type { Store } from './store.ts';
import type { RandomBytes } from './tokens.ts';

/** What every service is given. */
export interface ServiceContext {
  store: Store;
  fleet: FleetPort;
  clock: { now(): number };
  random: RandomBytes;
  /** How many times a host's CPUs may be reserved. */
  cpuOvercommit?: number | undefined;
}
