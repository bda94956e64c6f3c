import { BerthError, unreachable } from '@berth/shared/domain/errors';
import {
  PROTOCOL_VERSION,
  CLOSE,
  type FromAgent,
  type Hello,
  type SecretsWant,
  type Signers,
} from '@berth/shared/protocol/messages';
import type { EpochRecord, HelloRecord } from './fleet-store.ts';
import { createChanges } from './fleet-changes.ts';
import { createEpochKeeper, type Claim } from './fleet-epoch.ts';
import { DEFAULT_HEARTBEAT, heartbeatFor } from './fleet-heartbeat.ts';
import { createLookups } from './fleet-lookups.ts';
import { createNotes } from './fleet-notes.ts';
import { createQuestions } from './fleet-questions.ts';
import { createReports } from './fleet-reports.ts';
import { Session } from './fleet-session.ts';
import { createSignersDesk } from './fleet-signers.ts';
import type { AgentConnection, AgentMessage, Fleet, FleetOptions, FleetSession } from './fleet-types.ts';

type Reject = Extract<FromAgent, { type: 'desired.reject' }>;

const WANTS_AT_ONCE = 8;

/** A hello that is being looked up: how many times, and what came meanwhile. */
interface Joining {
  count: number;
  changed: boolean;
  removed: boolean;
  signers: boolean;
}

interface Found {
  record: HelloRecord;
  moved: boolean;
  told: Signers | null;
  stale: boolean;
}

/** All connected agents. Resolves once the store has told the epoch. */
export async function createFleet(options: FleetOptions): Promise<Fleet> {
  const { store, clock, log } = options;
  const tickMs = options.tickMs ?? 10;
  const heartbeat = { ...DEFAULT_HEARTBEAT, ...options.heartbeat };
  const sessions = new Map<string, Session>();
  /** Hosts whose hello is being looked up. */
  const joining = new Map<string, Joining>();
  const signers = createSignersDesk({ store, sessions, log });
  const questions = createQuestions();
  const lookups = createLookups(store);
  const notes = createNotes({ store, clock, log, tickMs });
  const keeper = createEpochKeeper({
    first: await store.epoch(),
    store,
    clock,
    log,
    sessions,
    changes: () => changes,
    notes,
  });
  const changes = createChanges({
    store,
    clock,
    log,
    tickMs: Math.min(tickMs, 10),
    epoch: () => keeper.now(),
    holds: (host) => keeper.holds(host),
  });
  const reports = createReports({
    store,
    clock,
    log,
    tickMs,
    agents: () => sessions.size,
    holds: (host) => keeper.holds(host),
    changed,
  });

  function changed(host: string): void {
    const session = sessions.get(host);
    if (session !== undefined) changes.mark(session);
    const join = joining.get(host);
    if (join !== undefined) join.changed = true;
  }

  async function lookUp(
    hello: Hello,
    verify: (publicKey: string) => Promise<boolean>,
  ): Promise<Found | null> {
    const join = joining.get(hello.host) ?? { count: 0, changed: false, removed: false, signers: false };
    join.count += 1;
    joining.set(hello.host, join);
    try {
      const record = await lookups.find(hello.host);
      if (record === null || !(await verify(record.publicKey))) return null;
      const claim = claimOf(hello, record, keeper.now());
      if (claim !== null) await keeper.ahead(hello.host, claim);
      else keeper.level(hello.host);
      const told = await signers.forHello(hello, record);
      return join.removed ? null : { record, moved: join.changed, told, stale: join.signers };
    } finally {
      join.count -= 1;
      if (join.count === 0) joining.delete(hello.host);
    }
  }

  function join(connection: AgentConnection, hello: Hello, found: Found): Session {
    const { record, moved, told, stale } = found;
    const at = clock.now();
    supersede(hello.host, at);
    const beat = heartbeatFor(sessions.size + 1, heartbeat);
    const epoch = keeper.now();
    const held = keeper.holds(record.host);
    const session = new Session(record.host, connection, beat, held ? 'observe' : 'apply', record.publicKey);
    sessions.set(record.host, session);
    notes.connection({ kind: 'online', host: record.host, hello, at });
    connection.tell(
      JSON.stringify({
        type: 'welcome',
        protocol: PROTOCOL_VERSION,
        // An agent obeys no mode of an epoch before its own.
        epoch: Math.max(epoch.epoch, keeper.claimOf(record.host)?.epoch ?? 0),
        mode: session.told,
        ...beat,
      }),
    );
    signers.begin(session, hello, record);
    // Before anything that is desired, so that a host that is new runs nothing of it that its pool's keys did not sign.
    if (told !== null) connection.tell(JSON.stringify(told));
    if (stale) signers.changed(record.pool);
    if (held) return session;
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
        if (keeper.holds(session.host)) return;
        hold(session, reject).catch((thrown: unknown) => {
          log.error({ err: thrown }, 'Could not hold a host that knows more than we do; trying again.');
          changes.markLater(session);
        });
        return;
      default:
        unreachable(reject.reason);
    }
  }

  async function hold(session: Session, reject: Reject): Promise<void> {
    const { epoch, revision } = reject;
    await keeper.ahead(session.host, {
      epoch,
      revision,
      why: `host ${session.host} refused our state: ${reject.message}`,
    });
    if (session.closed || session.told === 'observe') return;
    session.told = 'observe';
    session.connection.tell(JSON.stringify({ type: 'mode', epoch, mode: 'observe' }));
  }

  /** Each value sealed to the host; a host that asks faster than it is answered asks again later. */
  async function give(session: Session, { want }: SecretsWant): Promise<void> {
    if (options.secrets === undefined || session.wanting >= WANTS_AT_ONCE) return;
    session.wanting += 1;
    try {
      for (const message of await options.secrets(session.host, want))
        if (!session.closed) session.connection.tell(JSON.stringify(message));
    } catch (thrown) {
      log.error({ host: session.host, err: thrown }, 'Could not answer a host that lacks secrets.');
    } finally {
      session.wanting -= 1;
    }
  }

  function removed(host: string): void {
    const join = joining.get(host);
    if (join !== undefined) join.removed = true;
    keeper.level(host);
    const session = sessions.get(host);
    if (session === undefined) return;
    leave(session);
    session.connection.close(CLOSE.unauthenticated, 'this host was removed');
  }

  return {
    changed,
    removed,
    async recheck(host) {
      const session = sessions.get(host);
      if (session === undefined) return;
      try {
        const record = await lookups.find(host);
        if (record?.publicKey !== session.publicKey && sessions.get(host) === session) removed(host);
      } catch (thrown) {
        // Not known is not good enough: it may come back and show its key.
        log.error(
          { host, err: thrown },
          'Could not see whether a host has its key still; it is to come again.',
        );
        leave(session);
        session.connection.close(1013, 'try again later');
      }
    },
    signersChanged(pool) {
      // Of those that are just being looked up nobody knows the pool yet.
      for (const each of joining.values()) each.signers = true;
      signers.changed(pool);
    },
    gatherHeld: () => keeper.gather(),
    online: (host) => sessions.has(host),
    modeChanged: () => keeper.reread(),
    async ask(host, question, timeoutMs) {
      const session = sessions.get(host);
      if (session === undefined)
        throw new BerthError('host_offline', `Host ${host} is offline, so it cannot be asked.`);
      // Agents know this question since they know of signers; an older one would end its session over it.
      if (question.kind === 'traffic' && session.signers === null)
        throw new BerthError('unavailable', `The agent of host ${host} is older than this question.`);
      return questions.ask(session, question, timeoutMs);
    },

    async admit(connection, hello, verify) {
      const found = await lookUp(hello, verify);
      return found === null ? null : join(connection, hello, found);
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
        case 'secrets.want':
          void give(given, message);
          return null;
        case 'signers.ack':
          signers.acknowledged(given, message);
          notes.connection({ kind: 'signers', host: given.host, at: clock.now(), facts: message.facts });
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
      mode: keeper.now().mode,
      epoch: keeper.now().epoch,
    }),
    async close() {
      await changes.stop();
      await reports.stop();
      await notes.stop();
    },
  };
}

/** What this agent has that we do not know of; then ours is the older state. */
function claimOf(hello: Hello, record: HelloRecord, now: EpochRecord): Claim | null {
  const { epoch, revision } = hello;
  if (epoch > now.epoch || (epoch === now.epoch && now.mode === 'observe'))
    return { epoch, revision, why: `host ${record.name} knows epoch ${epoch}, later than ${now.epoch}` };
  if (epoch < now.epoch || revision <= record.revision) return null;
  const why = `host ${record.name} has revision ${revision} of epoch ${epoch}, later than ${record.revision}`;
  return { epoch, revision, why };
}
