import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { Socket } from 'node:net';
import { WebSocketServer, type WebSocket } from 'ws';
import {
  FromAgent,
  PROTOCOL_VERSION,
  SUBPROTOCOL,
  type Hello,
  type ToAgent,
} from '@berth/shared/protocol/messages';
import type { z } from 'zod';

/** One agent that came to an impostor and was welcomed. */
export interface Visitor {
  hello: z.infer<typeof Hello>;
  say(message: ToAgent): void;
  /** The next message of this kind. */
  heard<T extends FromAgent['type']>(type: T): Promise<Extract<FromAgent, { type: T }>>;
}

export interface Impostor {
  /** The next agent that connects. */
  visitor(): Promise<Visitor>;
  close(): Promise<void>;
}

/** Takes the place of a coordinator that is down: it speaks the real protocol and says whatever a test wants said. */
export async function impersonate(port: number, epoch: number): Promise<Impostor> {
  const server = createServer((_request, response) => response.writeHead(503).end());
  const sockets = new WebSocketServer({ server, handleProtocols: () => SUBPROTOCOL });
  const waiting: ((visitor: Visitor) => void)[] = [];
  const come: Visitor[] = [];
  sockets.on('connection', (socket) => {
    const say = (message: ToAgent): void => socket.send(JSON.stringify(message));
    const inbox = inboxOf(socket);
    say({ type: 'challenge', protocol: PROTOCOL_VERSION, nonce: randomBytes(32).toString('hex') });
    void inbox.heard('hello').then((hello) => {
      say({
        type: 'welcome',
        protocol: PROTOCOL_VERSION,
        epoch,
        mode: 'apply',
        heartbeatMs: 1_000,
        timeoutMs: 5_000,
        reconnect: { baseMs: 200, capMs: 1_000 },
      });
      const visitor: Visitor = { hello, say, heard: inbox.heard };
      const taker = waiting.shift();
      if (taker === undefined) come.push(visitor);
      else taker(visitor);
    });
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return {
    visitor() {
      const first = come.shift();
      return first === undefined ? new Promise((resolve) => waiting.push(resolve)) : Promise.resolve(first);
    },
    async close() {
      for (const socket of sockets.clients) socket.terminate();
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

function inboxOf(socket: WebSocket): Pick<Visitor, 'heard'> {
  const messages: FromAgent[] = [];
  let wake: () => void = () => undefined;
  socket.on('message', (data) => {
    if (!Buffer.isBuffer(data)) throw new Error('ws gives buffers unless told otherwise');
    messages.push(FromAgent.parse(JSON.parse(data.toString('utf8'))));
    wake();
  });
  return {
    async heard<T extends FromAgent['type']>(type: T) {
      const until = Date.now() + 10_000;
      for (;;) {
        const index = messages.findIndex((message) => message.type === type);
        const [found] = index < 0 ? [] : messages.splice(0, index + 1).slice(-1);
        if (found !== undefined && isOf(found, type)) return found;
        if (Date.now() > until) throw new Error(`the agent did not say ${type}`);
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, 200);
          wake = () => {
            clearTimeout(timer);
            resolve();
          };
        });
      }
    },
  };
}

function isOf<T extends FromAgent['type']>(
  message: FromAgent,
  type: T,
): message is Extract<FromAgent, { type: T }> {
  return message.type === type;
}

/** The header of a text frame that is not the last of its message. From a client it has to be masked. */
export function frameHead(length: number, from: 'client' | 'server', opcode: 0 | 1): Buffer {
  const head = Buffer.alloc(10);
  head[0] = opcode;
  head[1] = 127 | (from === 'client' ? 0x80 : 0);
  head.writeBigUInt64BE(BigInt(length), 2);
  return from === 'client' ? Buffer.concat([head, Buffer.alloc(4)]) : head;
}

/** Says yes to a WebSocket request by hand, so that what follows may be anything. */
export function acceptByHand(socket: Socket, key: string): void {
  const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\nSec-WebSocket-Protocol: ${SUBPROTOCOL}\r\n\r\n`,
  );
}

/** What a message without an end comes to when nobody cuts it off. */
export const ENDLESS_BYTES = 256 * 1024 * 1024;

/**
 * Sends 64 KiB frames of one message that never ends until the other side has enough of it; resolves to the bytes that
 * it took. `wholeFrame`: one frame that says it is this long instead.
 */
export async function flood(
  socket: Socket,
  from: 'client' | 'server',
  wholeFrame: number | null,
): Promise<number> {
  const piece = Buffer.alloc(65_536, 0x20);
  let sent = 0;
  const closed = new Promise<void>((resolve) => {
    socket.once('close', () => resolve());
    socket.once('end', () => resolve());
    socket.on('error', () => resolve());
  });
  // Who does not read does not see that the other side has gone.
  socket.resume();
  let over = false;
  void closed.then(() => (over = true));
  if (wholeFrame !== null) socket.write(frameHead(wholeFrame, from, 1));
  const limit = wholeFrame ?? ENDLESS_BYTES;
  for (let count = 0; !over && sent < limit; count += 1) {
    if (wholeFrame === null) socket.write(frameHead(piece.length, from, count === 0 ? 1 : 0));
    const flowing = socket.write(piece);
    sent += piece.length;
    if (!flowing) await Promise.race([once(socket, 'drain'), closed]);
    else await new Promise((resolve) => setImmediate(resolve));
  }
  await closed;
  socket.destroy();
  return sent;
}
