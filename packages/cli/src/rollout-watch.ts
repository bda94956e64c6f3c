import type { ApiClient } from '@berth/shared/api/client';
import type { Rollout } from '@berth/shared/api/rollouts';
import type { Event } from '@berth/shared/api/schemas';
import { BerthError } from '@berth/shared/domain/errors';
import { setTimeout as sleep } from 'node:timers/promises';
import { followEvents } from './follow.ts';

/**
 * What a watcher learns: an event of the rollout, how the rollout stands now, or that the coordinator does not answer and,
 * later, that it is back.
 */
export type RolloutNews =
  | { kind: 'event'; event: Event }
  | { kind: 'rollout'; rollout: Rollout }
  | { kind: 'away' }
  | { kind: 'back' };

export interface WatchOptions {
  api: ApiClient;
  /** How it stands at the beginning; events after its `afterEvent` follow. */
  rollout: Rollout;
  /** Whether there is nothing more to wait for. */
  until: (rollout: Rollout) => boolean;
  signal: AbortSignal;
  clock: { now(): number };
  /** For how long an unreachable coordinator is tried again. */
  patienceMs?: number;
}

/** What is asked after an event, and without one. */
const SOON_MS = 250;
const POLL_MS = 2000;
/** More than clocks are set back by. */
const SURELY_OVER_MS = 600_000;

/**
 * Follows a rollout: each of its events once and in order, and how it stands after each of them and every two seconds. A
 * connection that drops is taken up again where it ended. Ends when `until` says so, with all events told that were there
 * by then, or with the signal. Errors: BerthError, `unavailable` when nobody answers for `patienceMs`.
 */
export async function* watchRollout(options: WatchOptions): AsyncGenerator<RolloutNews> {
  const { api, clock, until, patienceMs = 60_000 } = options;
  const id = options.rollout.rollout;
  const over = new AbortController();
  const signal = AbortSignal.any([options.signal, over.signal]);
  const inbox = startInbox(options, id, signal, patienceMs);
  try {
    yield { kind: 'rollout', rollout: options.rollout };
    let rollout = options.rollout;
    // It may stand elsewhere by now, so the first look comes soon.
    let asked = until(rollout) ? -Infinity : clock.now() - POLL_MS + SOON_MS;
    let lastAnswer = clock.now();
    let coordinator: 'here' | 'away' = 'here';
    for (;;) {
      const events = inbox.take();
      for (const event of events) yield { kind: 'event', event };
      const due = asked + (inbox.news() || events.length > 0 ? SOON_MS : POLL_MS);
      if (clock.now() < due) {
        await inbox.wait(due - clock.now(), signal);
        if (signal.aborted) return;
        if (inbox.news()) continue;
      }
      asked = clock.now();
      try {
        rollout = await api.showRollout({ params: { rollout: id } }, signal);
        lastAnswer = clock.now();
      } catch (thrown) {
        if (signal.aborted) return;
        if (!isAway(thrown) || clock.now() - lastAnswer > patienceMs) throw thrown;
        if (coordinator === 'here') yield { kind: 'away' };
        coordinator = 'away';
        continue;
      }
      if (coordinator === 'away') yield { kind: 'back' };
      coordinator = 'here';
      if (until(rollout)) {
        // What it took to get there may still be on its way: it is told first.
        inbox.stop();
        for (const event of inbox.take()) yield { kind: 'event', event };
        for await (const event of restOf(options, rollout, inbox.last(), patienceMs))
          yield { kind: 'event', event };
        yield { kind: 'rollout', rollout };
        return;
      }
      yield { kind: 'rollout', rollout };
    }
  } finally {
    over.abort();
  }
}

interface Inbox {
  /** The events that came since; throws what ended the stream. */
  take(): Event[];
  news(): boolean;
  /** Resolves with the next event, after so many milliseconds, or with the signal. */
  wait(ms: number, signal: AbortSignal): Promise<void>;
  /** The last event seen, of this rollout or not. */
  last(): number;
  /** Takes in no more. */
  stop(): void;
}

function startInbox(options: WatchOptions, id: number, signal: AbortSignal, patienceMs: number): Inbox {
  const stopped = new AbortController();
  const until = AbortSignal.any([signal, stopped.signal]);
  const after = options.rollout.afterEvent;
  let last = after;
  let events: Event[] = [];
  let failure: { thrown: unknown } | null = null;
  let wake = new AbortController();
  const read = async (): Promise<void> => {
    for await (const event of followEvents(options.api, { after }, until, options.clock, patienceMs)) {
      if (until.aborted) return;
      last = event.id;
      if (!isOf(event, id)) continue;
      events.push(event);
      wake.abort();
    }
  };
  void read().catch((thrown: unknown) => {
    failure = { thrown };
    wake.abort();
  });
  return {
    take: () => {
      if (failure !== null && !until.aborted) throw failure.thrown;
      const taken = events;
      events = [];
      wake = new AbortController();
      return taken;
    },
    news: () => events.length > 0 || failure !== null,
    wait: async (ms, end) => {
      try {
        await sleep(ms, undefined, { signal: AbortSignal.any([end, wake.signal]) });
      } catch {
        // Woken, or over.
      }
    },
    last: () => last,
    stop: () => stopped.abort(),
  };
}

/** The events that the coordinator has and the stream had not brought yet. */
async function* restOf(
  options: WatchOptions,
  { rollout: id, endedAt }: Rollout,
  seen: number,
  patienceMs: number,
): AsyncGenerator<Event> {
  const { api, signal, clock } = options;
  const began = clock.now();
  let after = seen;
  for (;;) {
    let items: Event[];
    try {
      items = (await api.listEvents({ query: { after, limit: 1000 } }, signal)).items;
    } catch (thrown) {
      if (!isAway(thrown) || clock.now() - began > patienceMs) throw thrown;
      await sleep(SOON_MS, undefined, { signal });
      continue;
    }
    const last = items.at(-1);
    if (last === undefined || last.id <= after) return;
    after = last.id;
    for (const event of items) if (isOf(event, id)) yield event;
    // What is over says no more; others may have said a great deal since.
    if (endedAt !== null && last.at > endedAt + SURELY_OVER_MS) return;
  }
}

function isOf(event: Event, id: number): boolean {
  return event.kind.startsWith('rollout.') && event.details['rollout'] === id;
}

function isAway(thrown: unknown): boolean {
  return thrown instanceof BerthError && thrown.code === 'unavailable';
}
