import type { WebSocket, RawData } from 'ws';
import type { z } from 'zod';
import {
  challengeText,
  CLOSE,
  HELLO_TIMEOUT_MS,
  PROTOCOL_VERSION,
  ToAgent,
  type Answer,
  type Hello,
  type Query,
  type Welcome,
} from '@berth/shared/protocol/messages';
import { BerthError, messageOf, unreachable } from '@berth/shared/domain/errors';
import type { LinkOptions } from './handlers.ts';
import type { ReconnectLimits, SessionEnd } from './reconnect.ts';

/** Messages that wait while a state is being written; beyond it the socket is not read. */
const BACKLOG = 16;
const QUESTIONS_AT_ONCE = 16;
/** A coordinator under a reconnect storm may take its time to welcome; then the try is given up. */
const WELCOME_MS = 3 * HELLO_TIMEOUT_MS;

/** Speaks the protocol over one socket until it ends; resolves with how, and with what the coordinator dictated. */
export function runSession(
  socket: WebSocket,
  options: LinkOptions & { host: string },
  signal: AbortSignal,
): Promise<{ end: SessionEnd; limits: ReconnectLimits | null }> {
  const { clock, log, outbox, state } = options;
  const incoming = options.receiver();
  const questions = new AbortController();
  let phase: 'challenge' | 'welcome' | 'ready' = 'challenge';
  let limits: ReconnectLimits | null = null;
  let readyAt = 0;
  let heardAt = clock.now();
  let asked = 0;
  let backlog = 0;
  let tail: Promise<void> = Promise.resolve();
  let heartbeat: NodeJS.Timeout | null = null;
  let unsubscribe: (() => void) | null = null;
  let unsubscribeWants: (() => void) | undefined;
  const welcomeBy = setTimeout(() => {
    give(CLOSE.silent, 'The coordinator did not welcome this agent in time.');
  }, WELCOME_MS);

  const send = (message: object): void => {
    if (socket.readyState === socket.OPEN) socket.send(JSON.stringify(message));
  };

  function give(code: number, why: string): void {
    log.warn({ code }, why);
    socket.close(code, why.slice(0, 120));
  }

  function flush(): void {
    for (let next = outbox.next(); next !== null; next = outbox.next()) socket.send(next.text);
  }

  function askForSecrets(): void {
    for (const message of options.secrets?.wants() ?? []) send(message);
  }

  function beat(welcome: z.infer<typeof Welcome>): void {
    let pingAt = clock.now() + options.random() * welcome.heartbeatMs;
    heardAt = clock.now();
    heartbeat = setInterval(
      () => {
        const now = clock.now();
        if (socket.isPaused) heardAt = now;
        if (now - heardAt > welcome.timeoutMs) {
          log.warn({ silentMs: now - heardAt }, 'The coordinator is silent; connecting anew.');
          socket.terminate();
          return;
        }
        if (now < pingAt || socket.readyState !== socket.OPEN) return;
        pingAt = now + welcome.heartbeatMs;
        socket.ping();
      },
      Math.max(20, Math.min(welcome.heartbeatMs, welcome.timeoutMs) / 4),
    );
  }

  async function greet(welcome: z.infer<typeof Welcome>): Promise<void> {
    clearTimeout(welcomeBy);
    phase = 'ready';
    readyAt = clock.now();
    limits = welcome.reconnect;
    await incoming.mode(welcome.epoch, welcome.mode);
    if (socket.readyState !== socket.OPEN) return;
    beat(welcome);
    outbox.restart();
    unsubscribe = outbox.onWaiting(flush);
    log.info({ epoch: welcome.epoch, mode: welcome.mode }, 'Connected to the coordinator.');
    options.onOnline?.();
    unsubscribeWants = options.secrets?.onWanting(askForSecrets);
    askForSecrets();
    flush();
  }

  async function hello(nonce: string): Promise<void> {
    const facts = await options.facts();
    const { epoch, revision } = state.desired.current();
    const message: Hello = {
      type: 'hello',
      protocol: PROTOCOL_VERSION,
      host: options.host,
      signature: state.identity.sign(challengeText(options.host, nonce)),
      epoch,
      revision,
      digest: state.desired.digest(),
      ...facts,
    };
    send(message);
  }

  async function respond(query: z.infer<typeof Query>): Promise<void> {
    let answer: Answer;
    try {
      answer =
        asked > QUESTIONS_AT_ONCE
          ? { kind: 'error', code: 'rate_limited', message: 'This host answers too many questions already.' }
          : await options.answer(query.question, questions.signal);
    } catch (thrown) {
      const code = thrown instanceof BerthError ? thrown.code : 'internal';
      answer = { kind: 'error', code, message: messageOf(thrown).slice(0, 1000) };
    }
    send({ type: 'query.result', id: query.id, answer });
  }

  async function handle(message: ToAgent): Promise<void> {
    const opening = message.type === 'challenge' || message.type === 'welcome';
    if (phase === 'ready' ? opening : message.type !== phase) {
      give(CLOSE.protocol, `The coordinator sent ${message.type} out of turn.`);
      return;
    }
    switch (message.type) {
      case 'challenge':
        if (message.protocol !== PROTOCOL_VERSION) {
          give(
            CLOSE.protocol,
            `The coordinator speaks protocol ${message.protocol}, this agent ${PROTOCOL_VERSION}; update the older one.`,
          );
          return;
        }
        phase = 'welcome';
        await hello(message.nonce);
        return;
      case 'welcome':
        await greet(message);
        return;
      case 'mode':
        await incoming.mode(message.epoch, message.mode);
        return;
      case 'desired': {
        const verdict = await incoming.desired(message);
        if (verdict.kind === 'send') send(verdict.message);
        if (verdict.kind === 'broken') give(CLOSE.protocol, verdict.message);
        return;
      }
      case 'report.ack':
        outbox.acknowledge(message.seq);
        return;
      case 'query':
        asked += 1;
        void respond(message).finally(() => (asked -= 1));
        return;
      case 'signers': {
        const answer = await options.signers?.(message);
        if (answer !== undefined) send(answer);
        return;
      }
      case 'secrets':
        await options.secrets?.receive(message);
        return;
      default:
        unreachable(message);
    }
  }

  function receive(data: RawData, isBinary: boolean): void {
    heardAt = clock.now();
    const parsed = isBinary ? null : parse(data);
    if (parsed === null) {
      give(CLOSE.protocol, 'The coordinator sent something that is not a message of this protocol.');
      return;
    }
    backlog += 1;
    if (backlog > BACKLOG) socket.pause();
    tail = tail
      .then(() => (socket.readyState === socket.OPEN ? handle(parsed) : undefined))
      .catch((thrown: unknown) => {
        log.error({ err: thrown }, `Could not handle ${parsed.type}: ${messageOf(thrown)}`);
        socket.terminate();
      })
      .finally(() => {
        backlog -= 1;
        if (socket.isPaused && backlog < BACKLOG / 2) socket.resume();
      });
  }

  const leave = (): void => {
    socket.close(CLOSE.goingAway, 'the agent stops');
  };

  return new Promise((resolve) => {
    const heard = (): void => {
      heardAt = clock.now();
    };
    socket.on('message', receive);
    socket.on('ping', heard);
    socket.on('pong', heard);
    socket.on('error', (thrown) => {
      log.warn({ err: thrown }, `The connection to the coordinator failed: ${thrown.message}`);
    });
    socket.once('close', (code) => {
      clearTimeout(welcomeBy);
      if (heartbeat !== null) clearInterval(heartbeat);
      unsubscribe?.();
      unsubscribeWants?.();
      questions.abort();
      signal.removeEventListener('abort', leave);
      const online = phase === 'ready';
      // What was received is finished first: a state that is half written must not meet the next session's hello.
      void tail.then(() => {
        if (online) options.onOffline?.();
        resolve({ end: endOf(code, online, clock.now() - readyAt), limits });
      });
    });
    signal.addEventListener('abort', leave, { once: true });
    if (signal.aborted) leave();
  });
}

function parse(data: RawData): ToAgent | null {
  try {
    const message = ToAgent.safeParse(JSON.parse(textOf(data)));
    return message.success ? message.data : null;
  } catch {
    return null;
  }
}

/** A text message; `ws` hands over one buffer unless it is told otherwise. */
function textOf(data: RawData): string {
  if (Buffer.isBuffer(data)) return data.toString();
  return Array.isArray(data) ? Buffer.concat(data).toString() : Buffer.from(data).toString();
}

function endOf(code: number, online: boolean, afterMs: number): SessionEnd {
  if (code === CLOSE.superseded) return { kind: 'superseded' };
  if (code === CLOSE.unauthenticated) return { kind: 'refused' };
  // 1012 and 1013 are what a coordinator, or a load balancer before it, says when it restarts or is overloaded.
  if (code === CLOSE.goingAway || code === 1012 || code === 1013) return { kind: 'going-away' };
  return online ? { kind: 'lost', afterMs } : { kind: 'failed' };
}
