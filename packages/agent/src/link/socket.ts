import { WebSocket } from 'ws';
import { MAX_FRAME_BYTES, SUBPROTOCOL } from '@berth/shared/protocol/messages';
import { BerthError } from '@berth/shared/domain/errors';

const HANDSHAKE_MS = 15_000;
/** How long the coordinator may take to answer our goodbye. */
const CLOSE_MS = 2000;

/** The address of the agents' door, from a coordinator's base address (http, https, ws or wss). */
export function connectAddress(base: string): URL {
  let url: URL;
  try {
    url = new URL('/api/v1/agent/connect', base);
  } catch (cause) {
    throw new BerthError('invalid_request', `${base} is not the address of a coordinator.`, { cause });
  }
  if (url.protocol === 'http:') url.protocol = 'ws:';
  if (url.protocol === 'https:') url.protocol = 'wss:';
  if (url.protocol !== 'ws:' && url.protocol !== 'wss:')
    throw new BerthError('invalid_request', `${base} is not an http or https address.`);
  return url;
}

/** Begins a connection. Compression stays off: it costs the coordinator 223 KB of memory per agent. */
export function openSocket(address: URL, closeMs = CLOSE_MS): WebSocket {
  // Apart from the call because the published types do not know closeTimeout yet. It ends the connection also of a
  // coordinator that never answers our goodbye, or goes on sending what breaks the protocol.
  const settings = {
    perMessageDeflate: false,
    maxPayload: MAX_FRAME_BYTES,
    handshakeTimeout: HANDSHAKE_MS,
    followRedirects: false,
    closeTimeout: closeMs,
  };
  return new WebSocket(address, SUBPROTOCOL, settings);
}
