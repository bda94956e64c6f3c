import { BerthError, unreachable } from '@berth/shared/domain/errors';
import { PROTOCOL_VERSION, CLOSE, type FromAgent, type Hello } from '@berth/shared/protocol/messages';
import type { EpochRecord, HelloRecord } from './fleet-store.ts';
import { createChanges } from './fleet-changes.ts';
import { DEFAULT_HEARTBEAT, heartbeatFor } from './fleet-heartbeat.ts';
import { createLookups } from './fleet-lookups.ts';
import { createNotes } from './fleet-notes.ts';
import { createQuestions } from './fleet-questions.ts';
import { createReports } from './fleet-reports.ts';
import { Session } from './fleet-session.ts';
import type { AgentConnection, AgentMessage, Fleet, FleetOptions, FleetSession } from './fleet-types.ts';

type Reject = Extract<FromAgent, { type: 'desired.reject' }>;

/** All connected agents. Resolves once the store has told the epoch. */
export async function createFleet(options: FleetOptions): Promise<Fleet> {
  const { store, clock, log } = options;
  const tickMs = options.tickMs ?? 10;
  const heartbeat = { ...DEFAULT_HEARTBEAT, ...options.heartbeat };
  const sessions = new Map<string, Session>();
  /** Hosts whose hello is being looked up, and whether their state changed meanwhile. */
  const joining = new Map<string, { count: number; changed: boolean }>();
  let epoch: EpochRecord = await store.epoch();
  let observing: Promise<void> = Promise.resolve();

  const questions = createQuestions();
  const lookups = createLookups(store);
  const notes = createNotes({ store, log, tickMs });
  const changes = createChanges({ store, clock, log, tickMs: Math.min(tickMs, 10), epoch: () => epoch });
  const reports = createReports({
    store,
    clock,
    log,
    tickMs,
    observing: () => epoch.mode === 'observe',
    changed,
  });

  function changed(host: string): void {
    const session = sessions.get(host);
    if (session !== undefined) changes.mark(session);
    const join = joining.get(host);
    if (join !== undefined) join.changed = true;
  }

  /** An agent knows more than we do: we were restored from an older backup. Touch nothing until a person has looked. */
  async function observe(reason: string, above: number): Promise<void> {
    const turn = observing.then(async () => {
      if (epoch.mode === 'observe' && epoch.epoch > above) return;
      use(await store.enterObserveOnly(reason, clock.now(), above));
      log.error({ reason, epoch: epoch.epoch }, 'Observe-only: no agent acts until an operator confirms.');
    });
    observing = turn.catch(() => undefined);
    await turn;
  }

  function use(now: EpochRecord): void {
    const before = epoch;
    epoch = now;
    if (before.epoch === now.epoch && before.mode === now.mode) return;
    const text = JSON.stringify({ type: 'mode', epoch: now.epoch, mode: now.mode });
    for (const session of sessions.values()) {
      session.cursor = null;
      if (now.mode === 'observe') {
        session.told = 'observe';
        session.connection.tell(text);
      } else {
        // `apply` follows the new epoch's full state, not the other way round.
        changes.mark(session);
      }
    }
  }

  async function lookUp(
    hello: Hello,
    verify: (publicKey: string) => Promise<boolean>,
  ): Promise<{ record: HelloRecord; moved: boolean } | null> {
    const join = joining.get(hello.host) ?? { count: 0, changed: false };
    join.count += 1;
    joining.set(hello.host, join);
    try {
      const record = await lookups.find(hello.host);
      if (record === null || !(await verify(record.publicKey))) return null;
      if (hello.epoch > epoch.epoch || (epoch.mode === 'observe' && hello.epoch === epoch.epoch)) {
        await observe(
          `host ${record.name} knows epoch ${hello.epoch}, later than ${epoch.epoch}`,
          hello.epoch,
        );
      } else if (hello.epoch === epoch.epoch && hello.revision > record.revision) {
        await observe(
          `host ${record.name} has revision ${hello.revision} of epoch ${epoch.epoch}, later than ${record.revision}`,
          hello.epoch,
        );
      }
      return { record, moved: join.changed };
    } finally {
      join.count -= 1;
      if (join.count === 0) joining.delete(hello.host);
    }
  }

  function join(connection: AgentConnection, hello: Hello, record: HelloRecord, moved: boolean): Session {
    const at = clock.now();
    supersede(hello.host, at);
    const beat = heartbeatFor(sessions.size + 1, heartbeat);
    const session = new Session(record.host, connection, beat, epoch.mode);
    sessions.set(record.host, session);
    notes.connection({ kind: 'online', host: record.host, hello, at });
    connection.tell(
      JSON.stringify({
        type: 'welcome',
        protocol: PROTOCOL_VERSION,
        epoch: epoch.epoch,
        mode: epoch.mode,
        ...beat,
      }),
    );
    if (epoch.mode === 'observe') return session;
    const equal = hello.revision === record.revision && hello.digest === record.digest;
    if (hello.epoch === epoch.epoch && (equal || hello.revision < record.revision))
      session.cursor = hello.revision;
    if (session.cursor !== record.revision || moved) changes.mark(session);
    return session;
  }

  function supersede(host: string, at: number): void {
    const before = sessions.get(host);
    if (before === undefined) return;
    // A connection that had gone silent is the same agent coming back; one that was alive means two agents.
    const alive = at - before.connection.heardAt <= before.heartbeatMs * 1.5;
    leave(before);
    before.connection.close(CLOSE.superseded, 'a newer session of this host took over');
    if (!alive) return;
    notes.connection({ kind: 'superseded', host, at });
    log.warn({ host }, 'Two agents came with the same identity; the newer session won.');
  }

  function leave(session: Session): void {
    session.closed = true;
    questions.gone(session);
    if (sessions.get(session.host) === session) sessions.delete(session.host);
  }

  function refused(session: Session, reject: Reject): void {
    const fields = {
      host: session.host,
      reason: reject.reason,
      epoch: reject.epoch,
      revision: reject.revision,
    };
    log.warn(fields, `An agent refused its desired state: ${reject.message}`);
    session.cursor = null;
    switch (reject.reason) {
      case 'gap':
      case 'digest_mismatch':
        session.refusals += 1;
        if (session.refusals === 1) changes.mark(session);
        else changes.markLater(session);
        return;
      case 'unwritable':
        changes.markLater(session);
        return;
      case 'stale_epoch':
      case 'stale_revision':
        if (epoch.mode === 'observe') return;
        observe(`host ${session.host} refused our state: ${reject.message}`, reject.epoch).catch(
          (thrown: unknown) => {
            log.error({ err: thrown }, 'Could not enter observe-only mode; trying again.');
            changes.markLater(session);
          },
        );
        return;
      default:
        unreachable(reject.reason);
    }
  }

  return {
    changed,
    online: (host) => sessions.has(host),
    modeChanged() {
      store.epoch().then(use, (thrown: unknown) => {
        log.error({ err: thrown }, 'Could not read the epoch; agents keep the mode they have.');
      });
    },
    async ask(host, question, timeoutMs) {
      const session = sessions.get(host);
      if (session === undefined)
        throw new BerthError('host_offline', `Host ${host} is offline, so it cannot be asked.`);
      return questions.ask(session, question, timeoutMs);
    },

    async admit(connection, hello, verify) {
      const found = await lookUp(hello, verify);
      return found === null ? null : join(connection, hello, found.record, found.moved);
    },
    receive(given: FleetSession, message: AgentMessage, bytes: number) {
      if (!(given instanceof Session) || given.closed) return null;
      switch (message.type) {
        case 'report':
          reports.add(given, message, bytes);
          return null;
        case 'desired.ack':
          given.refusals = 0;
          notes.acknowledged({
            host: given.host,
            epoch: message.epoch,
            revision: message.revision,
            at: clock.now(),
          });
          return null;
        case 'desired.reject':
          refused(given, message);
          return null;
        case 'query.result':
          if (!questions.answered(given, message.id, message.answer))
            log.debug({ host: given.host, id: message.id }, 'An answer came that nobody waits for.');
          return null;
        default:
          return unreachable(message);
      }
    },
    left(given) {
      if (!(given instanceof Session) || given.closed) return;
      leave(given);
      notes.connection({ kind: 'offline', host: given.host, at: clock.now() });
    },
    stats: () => ({
      agents: sessions.size,
      reportsWaiting: reports.waiting(),
      changesWaiting: changes.waiting(),
      mode: epoch.mode,
      epoch: epoch.epoch,
    }),
    async close() {
      await changes.stop();
      await reports.stop();
      await notes.stop();
    },
  };
}
