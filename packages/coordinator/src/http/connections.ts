import type { Server } from 'node:http';
import type { Socket } from 'node:net';

export interface Connections {
  /** Somebody has shown a good token on it, or it has become an agent's: it is no longer counted. */
  proven(socket: Socket): void;
}

const REFUSAL = [
  'HTTP/1.1 429 Too Many Requests',
  'retry-after: 10',
  'connection: close',
  'content-length: 0',
  '',
  '',
].join('\r\n');

/**
 * Keeps one address from holding all connections without ever showing a token. `exempt`: who speaks for many, such as
 * trusted proxies and this machine itself.
 */
export function limitConnections(
  server: Server,
  most: number,
  exempt: (address: string) => boolean,
): Connections {
  const counts = new Map<string, number>();
  const unproven = new WeakMap<Socket, string>();
  const forget = (socket: Socket): void => {
    const address = unproven.get(socket);
    if (address === undefined) return;
    unproven.delete(socket);
    const left = (counts.get(address) ?? 1) - 1;
    if (left === 0) counts.delete(address);
    else counts.set(address, left);
  };
  server.on('connection', (socket) => {
    const address = socket.remoteAddress ?? '';
    if (exempt(address)) return;
    const count = (counts.get(address) ?? 0) + 1;
    counts.set(address, count);
    unproven.set(socket, address);
    socket.once('close', () => forget(socket));
    if (count > most) {
      socket.end(REFUSAL);
      socket.destroySoon();
    }
  });
  return { proven: forget };
}
