import { hash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';

/** RFC 6455, section 1.3: what every server adds to the client's key. */
const WEBSOCKET_GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
const KEY = /^[+/0-9A-Za-z]{22}==$/;
const VERSION = '13';

export type Handshake =
  | { kind: 'accepted'; /** Status line and headers, with the empty line. */ head: string }
  | { kind: 'refused'; status: string; headers: string };

/** Answers a request to speak WebSocket with this subprotocol, as RFC 6455 (section 4.2) asks. No extension is taken. */
export function answerUpgrade(request: IncomingMessage, subprotocol: string): Handshake {
  const key = request.headers['sec-websocket-key'];
  if (request.method !== 'GET') return refused('405 Method Not Allowed');
  if (request.headers.upgrade?.toLowerCase() !== 'websocket') return refused('400 Bad Request');
  if (key === undefined || !KEY.test(key)) return refused('400 Bad Request');
  if (request.headers['sec-websocket-version'] !== VERSION)
    return refused('400 Bad Request', `Sec-WebSocket-Version: ${VERSION}\r\n`);
  const offered = (request.headers['sec-websocket-protocol'] ?? '').split(',');
  if (!offered.some((each) => each.trim() === subprotocol)) return refused('400 Bad Request');
  return {
    kind: 'accepted',
    head:
      'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
      `Sec-WebSocket-Accept: ${hash('sha1', key + WEBSOCKET_GUID, 'base64')}\r\nSec-WebSocket-Protocol: ${subprotocol}\r\n\r\n`,
  };
}

function refused(status: string, headers = ''): Handshake {
  return { kind: 'refused', status, headers };
}
