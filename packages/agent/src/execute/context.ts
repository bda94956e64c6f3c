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
}

/** What one step came to when it succeeded: nothing, or a note for a person. */
export type Note = string | undefined;
