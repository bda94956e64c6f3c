import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:net';

/** Services of the host that listen on all its addresses while a probe runs, so that there is one to be reached. */
export interface Bait {
  tcp: number;
  udp: number;
  close(): void;
}

/** Both answer, and tell nothing. Errors: those of the system, when no port can be had. */
export async function openBait(): Promise<Bait> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.end('berth\n');
  });
  const socket = createSocket({ type: 'udp4', reuseAddr: false });
  const close = (): void => {
    server.close();
    socket.close();
  };
  socket.on('message', (message, peer) => socket.send(message, peer.port, peer.address));
  socket.on('error', () => undefined);
  server.listen(0, '0.0.0.0');
  socket.bind(0, '0.0.0.0');
  await Promise.all([once(server, 'listening'), once(socket, 'listening')]);
  const bound = server.address();
  const tcp = bound !== null && typeof bound === 'object' ? bound.port : 0;
  return { tcp, udp: socket.address().port, close };
}
