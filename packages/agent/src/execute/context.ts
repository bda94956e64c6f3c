import type { Clock, Sleep } from '../system/clock.ts';
import type { System } from '../system/system.ts';

/** What every executor gets. */
export interface ExecuteDeps {
  system: System;
  clock: Clock;
  sleep: Sleep;
}

/** What one step came to when it succeeded: nothing, or a note for a person. */
export type Note = string | undefined;
