import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { SUBPROTOCOL } from '@berth/shared/protocol/messages';
import { connectAddress, openSocket } from '@berth/agent/link/socket';
import { eventually, startCoordinator } from '../fakes/link-world.ts';

const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';

/** A WebSocket peer that answers nothing, neither a close frame nor the end of the stream. */
async function deafPeer(port: number): Promise<{ socket: Socket; ended(): boolean }> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  cleanups.push(() => Promise.resolve(void socket.destroy()));
  let over = false;
  socket.on('error', () => (over = true));
  socket.on('close', () => (over = true));
  socket.write(
    `GET /api/v1/agent/connect HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n` +
      `Sec-WebSocket-Key: ${KEY}\r\nSec-WebSocket-Protocol: ${SUBPROTOCOL}\r\n\r\n`,
  );
  await once(socket, 'data');
  return { socket, ended: () => over };
}

test.each([
  ['a masked frame that is no message', Buffer.from([0x81, 0x82, 0, 0, 0, 0, 0x7b, 0x7d])],
  ['a frame without a mask', Buffer.from([0x81, 0x02, 0x7b, 0x7d])],
])('an agent that is closed for %s and never answers is cut off in time', async (_name, frame) => {
  const coordinator = await startCoordinator({ closeMs: 100 });
  cleanups.push(coordinator.stop);
  const peer = await deafPeer(coordinator.port);
  await eventually('the connection', () => coordinator.connections() === 1);
  const began = performance.now();
  peer.socket.write(frame);
  // It goes on sending for ever instead of reading our goodbye.
  const talking = setInterval(() => peer.socket.write(frame), 5);
  cleanups.push(() => Promise.resolve(clearInterval(talking)));
  await eventually('the cut', () => coordinator.connections() === 0 && peer.ended());
  // Not by the library's own half minute.
  expect(performance.now() - began).toBeLessThan(10_000);
});

test('an agent whose coordinator never answers its goodbye ends by itself', async () => {
  const near: Socket[] = [];
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    near.push(socket);
    socket.on('error', () => undefined);
    socket.once('data', (head) => {
      const key = /sec-websocket-key: (\S+)/i.exec(head.toString())?.[1] ?? '';
      const digest = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
      socket.write(
        `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${digest}\r\n` +
          `Sec-WebSocket-Protocol: ${SUBPROTOCOL}\r\n\r\n`,
      );
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  cleanups.push(async () => {
    for (const socket of near) socket.destroy();
    server.close();
    await once(server, 'close');
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const socket = openSocket(connectAddress(`http://127.0.0.1:${address.port}`), 100);
  socket.on('error', () => undefined);
  await once(socket, 'open');
  const began = performance.now();
  socket.close(1001, 'the agent stops');
  const [code] = await once(socket, 'close');
  expect(code).toBe(1006);
  expect(performance.now() - began).toBeLessThan(10_000);
});
