import { messageOf } from '@berth/shared/domain/errors';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Child } from './children.ts';

export interface Supervisor {
  readonly child: Child;
  /** Stops watching, then the daemon. */
  stop(): Promise<void>;
}

/**
 * Keeps one daemon running: when it dies it is started again, after 0.5 s, then twice as long each time up to 30 s; a
 * minute of good health starts the count anew. `say` hears of each death and return.
 */
export function supervise(
  name: string,
  first: Child,
  start: (signal: AbortSignal) => Promise<Child>,
  say: (sentence: string) => void,
  clock: { now(): number },
): Supervisor {
  const stopping = new AbortController();
  let child = first;
  const watch = async (): Promise<void> => {
    let backoff = 500;
    let since = clock.now();
    while (!stopping.signal.aborted) {
      const how = await child.ended;
      if (stopping.signal.aborted) return;
      if (clock.now() - since > 60_000) backoff = 500;
      say(`the ${name} died (${how}); starting it again in ${backoff / 1000} s. Tenants go on.`);
      for (;;) {
        await sleep(backoff, undefined, { signal: stopping.signal }).catch(() => {});
        if (stopping.signal.aborted) return;
        backoff = Math.min(backoff * 2, 30_000);
        try {
          child = await start(stopping.signal);
          since = clock.now();
          say(`the ${name} is back`);
          break;
        } catch (thrown) {
          if (!stopping.signal.aborted) say(`${messageOf(thrown)} Trying again in ${backoff / 1000} s.`);
        }
      }
    }
  };
  const watching = watch();
  return {
    get child() {
      return child;
    },
    stop: async () => {
      stopping.abort();
      await child.stop();
      await watching;
      await child.stop();
    },
  };
}
