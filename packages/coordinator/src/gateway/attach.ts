import type { IncomingMessage, Server } from 'node:http';
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { WebSocketServer, type RawData, type WebSocket } from 'ws';
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
import { AgentSocket } from './agent-socket.ts';
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

/** A hello is some kilobytes. Who sends more before it is let in is no agent, and is not listened to any longer. */
const HELLO_BYTES = 64 * 1024;
/** Connections that may owe us their hello at one time: more than a fleet that comes back all at once. */
const MOST_OPENING = 16_384;

/** An agent that has sent its first message. */
interface Newcomer {
  socket: AgentSocket;
  data: RawData;
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
  mostOpening?: number;
}

/** Opens the agents' door on an HTTP server. Everything else that asks for an upgrade is somebody else's. */
export function attachGateway(options: GatewayOptions): Gateway {
  const { server, fleet, clock, log, signal } = options;
  const helloTimeoutMs = options.helloTimeoutMs ?? HELLO_TIMEOUT_MS;
  // Apart from the call because the published types do not know closeTimeout yet. It also ends the connection of a peer
  // that broke the protocol and goes on sending for ever instead of reading our goodbye.
  const settings = {
    noServer: true,
    WebSocket: AgentSocket,
    maxPayload: MAX_FRAME_BYTES,
    perMessageDeflate: false,
    closeTimeout: options.closeMs ?? CLOSE_MS,
    skipUTF8Validation: false,
    handleProtocols: (offered: Set<string>): string | false =>
      offered.has(SUBPROTOCOL) ? SUBPROTOCOL : false,
  };
  const wss = new WebSocketServer(settings);
  const nonces = createNonces();
  const mostOpening = options.mostOpening ?? MOST_OPENING;
  /** Those that owe us their hello, oldest first. */
  const opening = new Set<AgentSocket>();

  // One function for all sockets each: a connection brings no closures of its own.
  function onMessage(this: WebSocket, data: RawData, isBinary: boolean): void {
    if (!(this instanceof AgentSocket)) return;
    this.heardAt = clock.now();
    if (this.stage === 'closing') return;
    if (this.stage === 'opening' && !isBinary) {
      opening.delete(this);
      this.stage = 'admitting';
      door.enter({ socket: this, data });
      return;
    }
    const message = isBinary ? null : parse(data);
    if (message === null) {
      give(this, CLOSE.protocol, 'This is not a message of this protocol.');
      return;
    }
    switch (this.stage) {
      case 'opening':
      case 'admitting':
        give(this, CLOSE.protocol, 'Nothing may follow the hello before the welcome.');
        return;
      case 'admitted': {
        if (message.type === 'hello' || this.session === null) {
          give(this, CLOSE.protocol, 'A second hello came.');
          return;
        }
        const fault = fleet.receive(this.session, message, sizeOf(data));
        if (fault !== null) give(this, CLOSE.protocol, fault);
        return;
      }
      default:
        unreachable(this.stage);
    }
  }

  function onPing(this: WebSocket): void {
    if (this instanceof AgentSocket) this.heardAt = clock.now();
  }

  function onError(this: WebSocket, thrown: Error): void {
    const host = this instanceof AgentSocket ? (this.session?.host ?? null) : null;
    log.warn({ host, err: thrown }, `An agent's connection failed: ${thrown.message}`);
  }

  function onClose(this: WebSocket): void {
    if (!(this instanceof AgentSocket)) return;
    this.stage = 'closing';
    opening.delete(this);
    if (this.session !== null) fleet.left(this.session);
    this.session = null;
    this.stream = null;
  }

  function give(socket: AgentSocket, code: number, why: string): void {
    log.warn({ host: socket.session?.host ?? null, code }, `Closed an agent's connection: ${why}`);
    opening.delete(socket);
    socket.stage = 'closing';
    socket.close(code, why.slice(0, 120));
  }

  const door = createTurnstile<Newcomer>(ADMITTED_AT_ONCE, async ({ socket, data }) => {
    if (socket.stage !== 'admitting' || socket.readyState !== socket.OPEN) return;
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
          socket.readyState === socket.OPEN,
      );
      if (session === null) {
        if (socket.readyState === socket.OPEN)
          give(socket, CLOSE.unauthenticated, 'This host is not enrolled here, or its key is another.');
        return;
      }
      if (socket.readyState !== socket.OPEN) {
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

  /**
   * An agent sends its hello as soon as it is asked for it. When too many have not, the one that has taken longest goes:
   * so those that never will make room for those that do.
   */
  function makeRoom(): void {
    if (opening.size < mostOpening) return;
    const [slowest] = opening;
    if (slowest === undefined) return;
    opening.delete(slowest);
    slowest.stage = 'closing';
    slowest.terminate();
  }

  function challenge(socket: AgentSocket, request: IncomingMessage): void {
    socket.stream = request.socket;
    makeRoom();
    opening.add(socket);
    socket.openedAt = clock.now();
    socket.heardAt = socket.openedAt;
    socket.nonce = nonces.next();
    socket.on('message', onMessage);
    socket.on('ping', onPing);
    socket.on('error', onError);
    socket.on('close', onClose);
    socket.tell(`{"type":"challenge","protocol":${PROTOCOL_VERSION},"nonce":"${socket.nonce}"}`);
  }

  /** One timer looks after everyone: the silent, the slow, and those that never say hello. */
  function sweep(): void {
    const now = clock.now();
    for (const socket of wss.clients) {
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
          // What has come of a message that is not whole yet is kept, so how much that may be is looked at here as well.
          if (socket.stream instanceof Socket && socket.stream.bytesRead > HELLO_BYTES) socket.terminate();
          else if (now - socket.openedAt > helloTimeoutMs)
            give(socket, CLOSE.silent, 'No hello came in time.');
          break;
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
    const offered = (request.headers['sec-websocket-protocol'] ?? '').split(',').map((each) => each.trim());
    if (!offered.includes(SUBPROTOCOL)) {
      refuse(socket, '400 Bad Request');
      return;
    }
    // The answer to the upgrade and the challenge leave in one write.
    socket.cork();
    wss.handleUpgrade(request, socket, head, challenge);
    socket.uncork();
  }

  const timer = setInterval(sweep, options.sweepMs ?? SWEEP_MS);
  timer.unref();
  server.on('upgrade', onUpgrade);

  const closed = new Promise<void>((resolve) => {
    const stop = (): void => {
      clearInterval(timer);
      for (const socket of wss.clients) {
        socket.stage = 'closing';
        socket.close(CLOSE.goingAway, 'the coordinator stops');
      }
      const hurry = setTimeout(() => {
        for (const socket of wss.clients) socket.terminate();
      }, FAREWELL_MS);
      wss.close(() => {
        clearTimeout(hurry);
        server.off('upgrade', onUpgrade);
        resolve();
      });
    };
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
  });

  return { connections: () => wss.clients.size, closed };
}

function parse(data: RawData): FromAgent | null {
  try {
    const message = FromAgent.safeParse(JSON.parse(textOf(data)));
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

function sizeOf(data: RawData): number {
  if (Array.isArray(data)) return data.reduce((sum, each) => sum + each.length, 0);
  return data.byteLength;
}

function refuse(socket: Duplex, status: string): void {
  socket.on('error', () => socket.destroy());
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
}
