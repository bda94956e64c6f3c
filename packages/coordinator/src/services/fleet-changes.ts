import { setImmediate as breathe } from 'node:timers/promises';
import type { DesiredCursor, DesiredSnapshot, EpochRecord, FleetStore } from './fleet-store.ts';
import type { Session } from './fleet-session.ts';
import { createTick, type Tick } from './fleet-tick.ts';
import type { Clock, Log } from './fleet-types.ts';
import { desiredMessages } from './fleet-wire.ts';

/** Few enough that a read's text is gone again before the collector has copied it. */
const HOSTS_PER_READ = 100;
/** An agent that could not take its state (a full disk, say) is tried again after this time, not at once. */
const RETRY_MS = 30_000;

export interface Changes extends Omit<Tick, 'hurry'> {
  /** This session's host has something new, or everything (`cursor` null). */
  mark(session: Session): void;
  /** The same, after a pause. */
  markLater(session: Session): void;
  waiting(): number;
}

/** Sends desired state: one read for all hosts that changed within a tick, the entries spliced in as text. */
export function createChanges(options: {
  store: FleetStore;
  clock: Clock;
  log: Log;
  tickMs: number;
  epoch(): EpochRecord;
  /** Nothing is sent to a host that is held; its release marks it anew. */
  holds(host: string): boolean;
}): Changes {
  const { store, clock, log } = options;
  const dirty = new Set<Session>();
  const later = new Map<Session, number>();
  let laterTimer: NodeJS.Timeout | null = null;

  async function run(): Promise<void> {
    const { epoch, mode } = options.epoch();
    // In observe-only mode nothing is sent; the confirmation marks everyone anew.
    if (mode === 'observe') {
      dirty.clear();
      return;
    }
    const behind = new Map<string, Session>();
    const whole: Session[] = [];
    for (const session of dirty) {
      if (session.sending) continue;
      dirty.delete(session);
      if (session.closed || options.holds(session.host)) continue;
      if (session.cursor === null) whole.push(session);
      else behind.set(session.host, session);
    }
    try {
      await sendDeltas(epoch, behind);
      await sendWhole(epoch, whole);
    } catch (thrown) {
      for (const session of behind.values()) dirty.add(session);
      for (const session of whole) dirty.add(session);
      throw thrown;
    }
  }

  async function sendDeltas(epoch: number, behind: Map<string, Session>): Promise<void> {
    const cursors: DesiredCursor[] = [];
    for (const { host, cursor } of behind.values())
      if (cursor !== null) cursors.push({ host, revision: cursor });
    for (let from = 0; from < cursors.length; from += HOSTS_PER_READ) {
      const chunk = cursors.slice(from, from + HOSTS_PER_READ);
      const snapshots = await store.desiredSince(chunk);
      for (const { host, revision } of chunk) {
        const session = behind.get(host);
        const snapshot = snapshots.get(host);
        behind.delete(host);
        // Meanwhile something else may have decided that this agent needs all of its state.
        if (session === undefined || snapshot === undefined || session.cursor !== revision) continue;
        send(epoch, session, revision, snapshot);
      }
      if (from + HOSTS_PER_READ < cursors.length) await breathe();
    }
  }

  async function sendWhole(epoch: number, whole: Session[]): Promise<void> {
    for (let session = whole[0]; session !== undefined; session = whole[0]) {
      const snapshot = await store.desiredAll(session.host);
      whole.shift();
      if (session.cursor === null) send(epoch, session, null, snapshot);
    }
  }

  function send(epoch: number, session: Session, base: number | null, snapshot: DesiredSnapshot): void {
    const current = options.epoch();
    if (session.closed || current.epoch !== epoch || options.holds(session.host)) return;
    const { messages, tooLarge } = desiredMessages(epoch, base, snapshot);
    if (tooLarge.length > 0)
      log.error(
        { host: session.host, tenants: tooLarge },
        'These tenants are larger than one message may be.',
      );
    session.cursor = snapshot.revision;
    const [only] = messages;
    if (messages.length === 1 && only !== undefined) {
      session.connection.tell(only);
      finish(session);
      return;
    }
    session.sending = true;
    sendParts(session, messages, 0);
  }

  /** One part after the other has left, so that a slow agent holds up one part of memory and not all of its state. */
  function sendParts(session: Session, messages: readonly string[], index: number): void {
    const text = messages[index];
    if (text === undefined || session.closed) {
      session.sending = false;
      finish(session);
      if (dirty.has(session)) tick.request();
      return;
    }
    session.connection.tell(text, () => sendParts(session, messages, index + 1));
  }

  function finish(session: Session): void {
    const { epoch, mode } = options.epoch();
    if (session.closed || session.told === mode || options.holds(session.host)) return;
    session.told = mode;
    session.connection.tell(JSON.stringify({ type: 'mode', epoch, mode }));
  }

  function wake(): void {
    laterTimer = null;
    const now = clock.now();
    for (const [session, at] of later) {
      if (at > now && !session.closed) continue;
      later.delete(session);
      if (!session.closed) dirty.add(session);
    }
    if (dirty.size > 0) tick.request();
    if (later.size > 0) armLater();
  }

  function armLater(): void {
    laterTimer ??= setTimeout(wake, RETRY_MS / 10);
    laterTimer.unref();
  }

  const tick = createTick({ ms: options.tickMs, what: 'send desired state', log, run });

  return {
    request: tick.request,
    waiting: () => dirty.size,
    mark(session) {
      dirty.add(session);
      tick.request();
    },
    markLater(session) {
      later.set(session, clock.now() + RETRY_MS);
      armLater();
    },
    async stop() {
      if (laterTimer !== null) clearTimeout(laterTimer);
      dirty.clear();
      await tick.stop();
    },
  };
}
