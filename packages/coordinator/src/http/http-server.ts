import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { HttpSettings } from './settings.ts';

/** Headers that one request may have, and how large all of them may be together. */
const MOST_HEADERS = 100;
const HEADER_BYTES = 16 * 1024;
/** How often Node looks for connections that are too slow. */
const LOOK_MS = 2_000;

/**
 * Node's server with limits on what comes before a handler: headers and bodies that drip in are cut off, too many or too
 * large headers are refused (431). A browser's page that is not listed opens no WebSocket: its request is treated like any
 * other, which refuses it. `upgrading` is told of connections that become WebSockets, whose own rules hold from then on.
 */
export function createHttpServer(
  { headersTimeoutMs, requestTimeoutMs, origins }: HttpSettings,
  handle: (incoming: IncomingMessage, outgoing: ServerResponse) => void,
  upgrading: (socket: Socket) => void = () => {},
): Server {
  const server = createServer(
    {
      headersTimeout: headersTimeoutMs,
      requestTimeout: Math.max(headersTimeoutMs, requestTimeoutMs),
      connectionsCheckingInterval: Math.min(LOOK_MS, headersTimeoutMs),
      keepAliveTimeout: 65_000,
      maxHeaderSize: HEADER_BYTES,
      shouldUpgradeCallback: (request) => {
        const { origin } = request.headers;
        if (origin !== undefined && !origins.includes(origin)) return false;
        upgrading(request.socket);
        return true;
      },
    },
    (incoming, outgoing) => {
      // Node would leave out those beyond its own limit without a word, and with them perhaps the one that matters.
      if (incoming.rawHeaders.length / 2 > MOST_HEADERS) {
        outgoing.writeHead(431, { connection: 'close', 'content-length': '0' }).end();
        return;
      }
      handle(incoming, outgoing);
    },
  );
  server.maxHeadersCount = MOST_HEADERS * 2;
  return server;
}
