import type { ContainerPlan } from '@berth/shared/domain/step';
import type { Credentials } from '@berth/shared/registry/credentials';
import type { Clock, Sleep } from '../system/clock.ts';
import type { System } from '../system/system.ts';

/** What every executor gets. */
export interface ExecuteDeps {
  system: System;
  clock: Clock;
  sleep: Sleep;
  /** What to show the registries; without it, nothing. */
  credentials?: Credentials;
  /** Who has the tenants' secrets; without it no container that needs one is made. */
  secrets?: SecretsPort;
  /** Told when a drain has seen that no connection leads to who is to stop: a time before it looked. */
  drained?(this: void, tenant: string, at: number): void;
}

/** What is mounted into a container and added to its environment. */
export interface SecretParts {
  /** Names them all; kept as a label, so that what no container uses can be let go. */
  set: string | null;
  mounts: readonly { source: string; target: string }[];
  environment: Readonly<Record<string, string>>;
}

/** The tenants' secrets, as the hands need them. Errors of all: `secret_unavailable`, which names the secret. */
export interface SecretsPort {
  /** Has all that these containers need at hand and in memory. Safe to repeat. */
  open(plans: readonly ContainerPlan[], signal: AbortSignal): Promise<void>;
  /** The same for one container that is about to be made. */
  partsOf(plan: ContainerPlan, signal: AbortSignal): Promise<SecretParts>;
  /** Puts what a tenant's existing containers were made with back into memory. */
  reopen(tenant: string): Promise<void>;
  /** Containers were removed: lets go of what the tenant's others do not use. */
  tidy(tenant: string, inUse: () => Promise<readonly string[]>): Promise<void>;
}

/** What one step came to when it succeeded: nothing, or a note for a person. */
export type Note = string | undefined;
