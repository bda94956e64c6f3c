import type { ApiClient } from '@berth/shared/api/client';
import type { Event } from '@berth/shared/api/schemas';
import { BerthError } from '@berth/shared/domain/errors';
import { setTimeout as sleep } from 'node:timers/promises';

export interface EventFilter {
  tenant?: string;
  host?: string;
  /** The last event already seen. */
  after: number;
}

/**
 * Events after `filter.after`, for as long as the signal lasts: a stream that drops is taken up again after the last
 * event that came. Errors: BerthError when the server says no (a wrong token, an unknown tenant); an unreachable server
 * is tried again for `patienceMs`, then that error is thrown.
 */
export async function* followEvents(
  api: ApiClient,
  filter: EventFilter,
  signal: AbortSignal,
  clock: { now(): number },
  patienceMs: number,
): AsyncGenerator<Event> {
  let after = filter.after;
  let pauseMs = 250;
  let lastWord = clock.now();
  for (;;) {
    if (signal.aborted) return;
    try {
      for await (const event of api.followEvents({ ...filter, after }, signal)) {
        if (event.id <= after) continue;
        after = event.id;
        pauseMs = 250;
        lastWord = clock.now();
        yield event;
      }
      lastWord = clock.now();
    } catch (thrown) {
      if (signal.aborted) return;
      if (thrown instanceof BerthError && thrown.code !== 'unavailable') throw thrown;
      // A stream that was open broke off: it may have been silent for long, and only now is nobody there.
      if (thrown instanceof TypeError) lastWord = clock.now();
      if (clock.now() - lastWord > patienceMs) throw thrown;
    }
    try {
      await sleep(pauseMs, undefined, { signal });
    } catch {
      return;
    }
    pauseMs = Math.min(pauseMs * 2, 2000);
  }
}
