import { setTimeout as sleep } from 'node:timers/promises';
import type { ApiClient } from '@berth/shared/api/client';
import type { Event } from '@berth/shared/api/schemas';

/** All events of one coordinator, followed from its start and across its restarts. */
export interface Journal {
  readonly events: readonly Event[];
  /** The first event that fits, past or to come, after event number `after`. */
  until(
    what: string,
    fits: (event: Event) => boolean,
    options?: { after?: number; timeoutMs?: number },
  ): Promise<Event>;
  /** Calls back with each new event until the returned function is called. */
  listen(heard: (event: Event) => void): () => void;
  close(): Promise<void>;
}

export function followJournal(api: () => ApiClient, context: () => string): Journal {
  const events: Event[] = [];
  const listeners = new Set<(event: Event) => void>();
  const stopping = new AbortController();

  async function follow(): Promise<void> {
    while (!stopping.signal.aborted) {
      try {
        const after = events.at(-1)?.id ?? 0;
        for await (const event of api().followEvents({ after }, stopping.signal)) {
          if (event.id <= (events.at(-1)?.id ?? 0)) continue;
          events.push(event);
          for (const heard of listeners) heard(event);
        }
      } catch {
        // The coordinator is away; that is what some of these tests are about.
      }
      await sleep(50, undefined, { signal: stopping.signal }).catch(() => undefined);
    }
  }
  const following = follow();

  return {
    events,
    until(what, fits, { after = 0, timeoutMs = 30_000 } = {}) {
      const past = events.find((event) => event.id > after && fits(event));
      if (past !== undefined) return Promise.resolve(past);
      return new Promise((resolve, reject) => {
        const heard = (event: Event): void => {
          if (event.id <= after || !fits(event)) return;
          clearTimeout(timer);
          listeners.delete(heard);
          resolve(event);
        };
        const timer = setTimeout(() => {
          listeners.delete(heard);
          reject(new Error(`waited ${timeoutMs} ms in vain for ${what}\n${recent(events)}\n${context()}`));
        }, timeoutMs);
        listeners.add(heard);
      });
    },
    listen(heard) {
      listeners.add(heard);
      return () => listeners.delete(heard);
    },
    async close() {
      stopping.abort();
      await following;
    },
  };
}

function recent(events: readonly Event[]): string {
  return events
    .slice(-15)
    .map(({ id, kind, tenant, generation, message }) => {
      return `  event ${id} ${kind} ${tenant ?? ''} ${generation ?? ''} ${message.slice(0, 200)}`;
    })
    .join('\n');
}
