import type { IncomingMessage, Server } from 'node:http';
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { messageOf, unreachable } from '@berth/shared/domain/errors';
import {
  CLOSE,
  FromAgent,
  HELLO_TIMEOUT_MS,
  MAX_FRAME_BYTES,
  PROTOCOL_VERSION,
  SUBPROTOCOL,
  type Hello,
} from '@berth/shared/protocol/messages';
import type { Clock, Fleet, Log } from '../services/fleet-types.ts';
import { AgentSocket, type AgentEars } from './agent-socket.ts';
import { answerUpgrade } from './handshake.ts';
import { createNonces } from './nonces.ts';
import { signedChallenge } from './signature.ts';
import { createTurnstile } from './turnstile.ts';

const PATH = '/api/v1/agent/connect';
/** An agent that lets this much pile up does not read. A desired state goes out part by part, far below it. */
const UNREAD_BYTES = 4 * 1024 * 1024;
const SWEEP_MS = 1000;
/** How long closing agents may take to say goodbye. */
const FAREWELL_MS = 2000;
/** How long an agent that we close may take to answer that; then its connection is cut. */
const CLOSE_MS = 2000;

/** Hellos that are looked up and verified at one time: enough to keep the threads that verify busy. */
const ADMITTED_AT_ONCE = 128;

/** An agent that has sent its first message. */
interface Newcomer {
  socket: AgentSocket;
  data: Buffer;
}

export interface Gateway {
  connections(): number;
  /** Resolves when the signal has aborted and every agent's socket is closed. */
  closed: Promise<void>;
}

export interface GatewayOptions {
  server: Server;
  fleet: Fleet;
  clock: Clock;
  log: Log;
  /** Aborts when the coordinator stops: agents are told to come back later (1001). */
  signal: AbortSignal;
  helloTimeoutMs?: number;
  sweepMs?: number;
  closeMs?: number;
}

/** Opens the agents' door on an HTTP server. Everything else that asks for an upgrade is somebody else's. */
export function attachGateway(options: GatewayOptions): Gateway {
  const { server, fleet, clock, log, signal } = options;
  const helloTimeoutMs = options.helloTimeoutMs ?? HELLO_TIMEOUT_MS;
  const sockets = new Map<Duplex, AgentSocket>();
  const nonces = createNonces();
  /** Called when the last socket is gone, once the coordinator stops. */
  let emptied: (() => void) | null = null;

  const ears: AgentEars = {
    maxBytes: MAX_FRAME_BYTES,
    closeMs: options.closeMs ?? CLOSE_MS,
    onMessage,
    onPing: (socket) => (socket.heardAt = clock.now()),
    onError(socket, thrown) {
      const host = socket.session?.host ?? null;
      log.warn({ host, err: thrown }, `An agent's connection failed: ${thrown.message}`);
    },
    onClose(socket) {
      socket.stage = 'closing';
      if (socket.session !== null) fleet.left(socket.session);
      socket.session = null;
    },
  };

  function onMessage(socket: AgentSocket, data: Buffer | null): void {
    socket.heardAt = clock.now();
    if (socket.stage === 'closing') return;
    if (socket.stage === 'opening' && data !== null) {
      socket.stage = 'admitting';
      door.enter({ socket, data });
      return;
    }
    const message = data === null ? null : parse(data);
    if (data === null || message === null) {
      give(socket, CLOSE.protocol, 'This is not a message of this protocol.');
      return;
    }
    switch (socket.stage) {
      case 'opening':
      case 'admitting':
        give(socket, CLOSE.protocol, 'Nothing may follow the hello before the welcome.');
        return;
      case 'admitted': {
        if (message.type === 'hello' || socket.session === null) {
          give(socket, CLOSE.protocol, 'A second hello came.');
          return;
        }
        const fault = fleet.receive(socket.session, message, data.length);
        if (fault !== null) give(socket, CLOSE.protocol, fault);
        return;
      }
      default:
        unreachable(socket.stage);
    }
  }

  // One function for all streams each: a connection brings no closures of its own.
  function onData(this: Duplex, chunk: Buffer): void {
    sockets.get(this)?.received(chunk);
  }

  function onEnd(this: Duplex): void {
    sockets.get(this)?.ended();
  }

  function onError(this: Duplex, thrown: Error): void {
    sockets.get(this)?.failed(thrown);
  }

  function onClose(this: Duplex): void {
    const socket = sockets.get(this);
    sockets.delete(this);
    socket?.gone();
    if (sockets.size === 0) emptied?.();
  }

  function give(socket: AgentSocket, code: number, why: string): void {
    log.warn({ host: socket.session?.host ?? null, code }, `Closed an agent's connection: ${why}`);
    socket.stage = 'closing';
    socket.close(code, why);
  }

  const door = createTurnstile<Newcomer>(ADMITTED_AT_ONCE, async ({ socket, data }) => {
    if (socket.stage !== 'admitting' || !socket.open) return;
    const message = parse(data);
    if (message === null) give(socket, CLOSE.protocol, 'This is not a message of this protocol.');
    else if (message.type === 'hello') await admit(socket, message);
    else give(socket, CLOSE.protocol, `The first message must be a hello, not ${message.type}.`);
  });

  async function admit(socket: AgentSocket, hello: Hello): Promise<void> {
    const nonce = socket.nonce;
    socket.nonce = '';
    if (hello.protocol !== PROTOCOL_VERSION) {
      give(
        socket,
        CLOSE.protocol,
        `The agent speaks protocol ${hello.protocol}, we speak ${PROTOCOL_VERSION}.`,
      );
      return;
    }
    try {
      const session = await fleet.admit(
        socket,
        hello,
        async (publicKey) =>
          (await signedChallenge(publicKey, hello.host, nonce, hello.signature)) &&
          // Who has gone meanwhile is not let in: it would supersede the session that it opened since.
          socket.open,
      );
      if (session === null) {
        if (socket.open)
          give(socket, CLOSE.unauthenticated, 'This host is not enrolled here, or its key is another.');
        return;
      }
      if (!socket.open) {
        fleet.left(session);
        return;
      }
      socket.session = session;
      socket.stage = 'admitted';
    } catch (thrown) {
      log.error({ host: hello.host, err: thrown }, `Could not admit an agent: ${messageOf(thrown)}`);
      give(socket, 1013, 'try again later');
    }
  }

  function welcome(stream: Duplex, head: Buffer, answer: string): void {
    const socket = new AgentSocket(stream, ears);
    sockets.set(stream, socket);
    socket.openedAt = clock.now();
    socket.heardAt = socket.openedAt;
    socket.nonce = nonces.next();
    if (stream instanceof Socket) stream.setTimeout(0).setNoDelay();
    if (head.length > 0) stream.unshift(head);
    stream.on('data', onData);
    stream.on('end', onEnd);
    stream.on('error', onError);
    stream.on('close', onClose);
    const challenge = `{"type":"challenge","protocol":${PROTOCOL_VERSION},"nonce":"${socket.nonce}"}`;
    // The answer to the upgrade and the challenge leave in one write.
    socket.tell(challenge, undefined, answer);
  }

  /** One timer looks after everyone: the silent, the slow, and those that never say hello. */
  function sweep(): void {
    const now = clock.now();
    for (const socket of sockets.values()) {
      if (socket.bufferedAmount > UNREAD_BYTES) {
        log.warn(
          { host: socket.session?.host ?? null },
          'An agent does not read what it is sent; cutting it off.',
        );
        socket.terminate();
        continue;
      }
      switch (socket.stage) {
        case 'opening':
        case 'admitting':
          if (now - socket.openedAt > helloTimeoutMs) give(socket, CLOSE.silent, 'No hello came in time.');
          break;
        case 'admitted':
          if (socket.isPaused) {
            // We do not read its pings while the store is behind; it must not take that for our death.
            socket.heardAt = now;
            socket.pong();
          } else if (socket.session !== null && now - socket.heardAt > socket.session.timeoutMs) {
            give(socket, CLOSE.silent, 'The agent was silent for too long.');
          }
          break;
        case 'closing':
          break;
        default:
          unreachable(socket.stage);
      }
    }
  }

  function onUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const path = (request.url ?? '').split('?', 1)[0];
    if (path !== PATH) {
      if (server.listenerCount('upgrade') === 1) refuse(socket, '404 Not Found');
      return;
    }
    if (signal.aborted) {
      refuse(socket, '503 Service Unavailable');
      return;
    }
    const answer = answerUpgrade(request, SUBPROTOCOL);
    if (answer.kind === 'refused') refuse(socket, answer.status, answer.headers);
    else welcome(socket, head, answer.head);
  }

  const timer = setInterval(sweep, options.sweepMs ?? SWEEP_MS);
  timer.unref();
  server.on('upgrade', onUpgrade);

  const closed = new Promise<void>((resolve) => {
    const stop = (): void => {
      clearInterval(timer);
      for (const socket of sockets.values()) {
        socket.stage = 'closing';
        socket.close(CLOSE.goingAway, 'the coordinator stops');
      }
      const hurry = setTimeout(() => {
        for (const socket of sockets.values()) socket.terminate();
      }, FAREWELL_MS);
      emptied = () => {
        clearTimeout(hurry);
        server.off('upgrade', onUpgrade);
        resolve();
      };
      if (sockets.size === 0) emptied();
    };
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
  });

  return { connections: () => sockets.size, closed };
}

function parse(data: Buffer): FromAgent | null {
  try {
    const message = FromAgent.safeParse(JSON.parse(data.toString()));
    return message.success ? message.data : null;
  } catch {
    return null;
  }
}

function refuse(socket: Duplex, status: string, headers = ''): void {
  socket.on('error', () => socket.destroy());
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\n${headers}Content-Length: 0\r\n\r\n`);
}
