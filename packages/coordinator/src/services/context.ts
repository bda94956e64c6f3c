import type { Enrolment } from '../enrolment/open.ts';
import type { FleetPort } from './fleet-port.ts';
import type { IdentityVerifier } from './identity.ts';
import type { Postgres } from './postgres.ts';
import type { Registry } from './registry.ts';
import type { Store } from './store.ts';
import type { Vault } from './vault.ts';
import type { RandomBytes } from './tokens.ts';

/** What every service is given. */
export interface ServiceContext {
  store: Store;
  fleet: FleetPort;
  registry: Registry;
  identity: IdentityVerifier;
  clock: { now(): number };
  random: RandomBytes;
  /** Encrypts secrets; without it, there are none. */
  vault?: Vault | undefined;
  /** Makes tenants' databases; without it, there are none. */
  postgres?: Postgres | undefined;
  /** Finds out which instance of AWS a host is; without it none enrols by that. */
  enrolment?: Enrolment | undefined;
  /** How many times a host's CPUs may be reserved. */
  cpuOvercommit?: number | undefined;
}
