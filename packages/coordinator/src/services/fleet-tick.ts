import { messageOf } from '@berth/shared/domain/errors';
import type { Log } from './fleet-types.ts';

const RETRY_FIRST_MS = 100;
const RETRY_CAP_MS = 2000;

/** Gathers calls that come within a short time into one run, and tries a failed run again until it succeeds. */
export interface Tick {
  request(): void;
  /** The same for somebody who waits: at once, unless the last run is only just over. */
  hurry(): void;
  /** Runs once more if anything is requested, and resolves when nothing runs; then it is over. */
  stop(): Promise<void>;
}

/** `run` is never entered twice at once; what it could not do it must still hold when it throws. */
export function createTick(options: {
  ms: number;
  /** From the end of one run to the next, at least: for what nobody waits for, so that a storm is a few large writes. */
  spacingMs?: number | (() => number);
  what: string;
  log: Log;
  run(): Promise<void>;
}): Tick {
  const spacing = options.spacingMs ?? 0;
  let timer: NodeJS.Timeout | null = null;
  let running: Promise<void> | null = null;
  let again = false;
  let stopped = false;
  let failures = 0;
  let resting: NodeJS.Timeout | null = null;

  function rest(): void {
    resting = setTimeout(
      () => {
        resting = null;
        if (again && running === null) arm(0);
      },
      Math.max(typeof spacing === 'number' ? spacing : spacing(), options.ms),
    );
  }

  function arm(ms: number): void {
    if (stopped || timer !== null) return;
    timer = setTimeout(() => {
      timer = null;
      running = go();
    }, ms);
  }

  async function go(): Promise<void> {
    again = false;
    let wait = 0;
    try {
      await options.run();
      if (failures > 0) options.log.info({ failures }, `Could ${options.what} again.`);
      failures = 0;
    } catch (thrown) {
      again = true;
      failures += 1;
      wait = Math.min(RETRY_CAP_MS, RETRY_FIRST_MS * 2 ** Math.min(failures - 1, 10));
      if (failures === 1 || failures % 30 === 0)
        options.log.error(
          { err: thrown, failures },
          `Could not ${options.what}; nothing is lost, it is tried again: ${messageOf(thrown)}`,
        );
    }
    running = null;
    if (wait > 0) arm(wait);
    else if (!stopped) rest();
  }

  return {
    request() {
      again = true;
      if (running === null && resting === null) arm(options.ms);
    },
    hurry() {
      again = true;
      // After a failure too, the pause is kept.
      if (running !== null || resting !== null || failures > 0) return;
      if (timer !== null) clearTimeout(timer);
      timer = null;
      arm(0);
    },
    async stop() {
      stopped = true;
      if (timer !== null) clearTimeout(timer);
      if (resting !== null) clearTimeout(resting);
      timer = null;
      resting = null;
      if (running !== null) await running;
      if (again) await go();
    },
  };
}
