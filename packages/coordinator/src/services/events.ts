import { covers } from '@berth/shared/domain/access';
import type { EventFilter, EventRecord } from './records.ts';
import type { Store } from './store.ts';

export interface EventFeed {
  /**
   * Events after a number, in order and without a gap, until the signal ends. Events are pulled: a slow reader holds up
   * nobody and costs no memory, it only reads from the database instead of from the newest ones kept here.
   */
  follow(after: number, filter: EventFilter, signal: AbortSignal): AsyncGenerator<EventRecord[]>;
  /** The newest number. */
  last(): Promise<number>;
}

export interface EventFeedOptions {
  store: Store;
  signal: AbortSignal;
  /** Looks for events of other coordinators this often; null where nobody else writes. */
  pollMs: number | null;
  onError: (thrown: unknown) => void;
}

/** How many of the newest events are kept for all followers together. */
const RECENT = 2_000;
const PAGE = 500;

export function createEventFeed({ store, signal, pollMs, onError }: EventFeedOptions): EventFeed {
  /** Consecutive by number. */
  let recent: EventRecord[] = [];
  let head: number | null = null;
  let reading: Promise<void> | null = null;
  let again = false;
  let wake = Promise.withResolvers<void>();

  /** Reads what is new, once for everybody; calls during a read are one more read. */
  function refresh(): Promise<void> {
    again = true;
    reading ??= (async () => {
      try {
        while (again && !signal.aborted) {
          again = false;
          await readNew();
        }
      } catch (thrown) {
        if (!signal.aborted) onError(thrown);
      } finally {
        reading = null;
      }
    })();
    return reading;
  }

  async function readNew(): Promise<void> {
    head ??= await store.lastEvent();
    for (;;) {
      const from: number = head;
      const fresh = await store.events({}, from, PAGE);
      // Meanwhile some may have been heard of.
      if (head !== from) continue;
      if (fresh.length > 0) take(fresh);
      if (fresh.length < PAGE) return;
    }
  }

  function take(fresh: readonly EventRecord[]): void {
    recent = [...recent, ...fresh].slice(-RECENT);
    head = fresh.at(-1)?.id ?? head;
    wake.resolve();
    wake = Promise.withResolvers();
  }

  /** Events of this process need not be read. Those of others are missing before them: then all are read. */
  function hear(events: readonly EventRecord[]): void {
    if (head !== null && events[0]?.id === head + 1) take(events);
    else void refresh();
  }

  const stop = store.onEvents(hear);
  const timer = pollMs === null ? null : setInterval(() => void refresh(), pollMs);
  timer?.unref();
  signal.addEventListener(
    'abort',
    () => {
      stop();
      if (timer !== null) clearInterval(timer);
      wake.resolve();
    },
    { once: true },
  );

  return {
    last: () => store.lastEvent(),
    async *follow(after, filter, until) {
      if (head === null) await refresh();
      let cursor = after;
      const aborted = Promise.withResolvers<void>();
      const onAbort = (): void => aborted.resolve();
      until.addEventListener('abort', onAbort, { once: true });
      try {
        while (!until.aborted && !signal.aborted) {
          const woken = wake.promise;
          const top = head ?? 0;
          if (cursor >= top) {
            await Promise.race([woken, aborted.promise]);
            continue;
          }
          const first = recent[0];
          // Which events are a pool's only the database knows.
          const inMemory = (filter.scope?.pools.length ?? 0) === 0;
          if (inMemory && first !== undefined && cursor + 1 >= first.id) {
            const chosen = recent.slice(cursor + 1 - first.id).filter((event) => matches(event, filter));
            cursor = top;
            if (chosen.length > 0) yield chosen;
            continue;
          }
          // Far behind: from the database, up to where the kept ones begin or the page ends.
          const page = await store.events(filter, cursor, PAGE);
          const known = page.filter((event) => event.id <= top);
          cursor = page.length < PAGE ? top : (known.at(-1)?.id ?? top);
          if (known.length > 0) yield known;
        }
      } finally {
        until.removeEventListener('abort', onAbort);
      }
    },
  };
}

function matches(event: EventRecord, filter: EventFilter): boolean {
  return (
    (filter.tenant === undefined || event.tenant === filter.tenant) &&
    (filter.app === undefined || event.app === filter.app) &&
    (filter.host === undefined || event.host === filter.host) &&
    (filter.kind === undefined || event.kind === filter.kind) &&
    (filter.scope === undefined || covers(filter.scope, { app: event.app, pool: null, tenant: event.tenant }))
  );
}
