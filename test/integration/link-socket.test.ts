import { once } from 'node:events';
import { afterEach, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { SUBPROTOCOL } from '@berth/shared/protocol/messages';
import { hostId } from '../fakes/simulated-agent.ts';
import { startCoordinator, type CoordinatorUnderTest } from '../fakes/link-world.ts';

/** The coordinator's own end of a WebSocket, spoken to by another implementation. */
const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function dialled(): Promise<{ coordinator: CoordinatorUnderTest; socket: WebSocket }> {
  const coordinator = await startCoordinator({});
  cleanups.push(() => coordinator.stop());
  const url = `${coordinator.url.replace('http', 'ws')}/api/v1/agent/connect`;
  const socket = new WebSocket(url, SUBPROTOCOL, { perMessageDeflate: true });
  cleanups.push(() => Promise.resolve(socket.terminate()));
  socket.on('error', () => undefined);
  const [challenge] = await once(socket, 'message');
  expect(String(challenge)).toMatch(/^\{"type":"challenge"/);
  return { coordinator, socket };
}

const closed = async (socket: WebSocket): Promise<{ code: number; reason: string }> => {
  const [code, reason] = await once(socket, 'close');
  return { code: Number(code), reason: String(reason) };
};

test('speaks the subprotocol, takes no extension, and answers a ping with what it carried', async () => {
  const { socket } = await dialled();
  expect(socket.protocol).toBe(SUBPROTOCOL);
  expect(socket.extensions).toBe('');
  const pong = once(socket, 'pong');
  socket.ping('are you there?');
  const [payload] = await pong;
  expect(String(payload)).toBe('are you there?');
});

test.each([1000, 3001])('a goodbye with %i is answered with the same', async (code) => {
  const { socket } = await dialled();
  const end = closed(socket);
  socket.close(code, 'that is all');
  expect((await end).code).toBe(code);
});

test('a goodbye without a code is answered without one', async () => {
  const { socket } = await dialled();
  const end = closed(socket);
  socket.close();
  expect((await end).code).toBe(1005);
});

test('a message in several frames is one message', async () => {
  const { coordinator, socket } = await dialled();
  const end = closed(socket);
  const hello = JSON.stringify({
    type: 'hello',
    protocol: 1,
    host: hostId(3),
    signature: 'AAAA',
    agentVersion: 'é'.repeat(20),
    bootId: 'boot',
    epoch: 0,
    revision: 0,
    digest: '0'.repeat(64),
    capacity: { memoryBytes: 1, cpus: 1, diskBytes: 1 },
    facts: {},
    ingress: { address: '127.0.0.1', port: 80 },
  });
  for (let from = 0; from < hello.length; from += 50)
    socket.send(hello.slice(from, from + 50), { fin: from + 50 >= hello.length });
  // It was read as a whole, and the host is not enrolled.
  expect(await end).toMatchObject({ code: 4401, reason: expect.stringContaining('not enrolled') });
  expect(coordinator.fleet.stats().agents).toBe(0);
});

test('an agent that ends its side without a goodbye is let go', async () => {
  const { coordinator, socket } = await dialled();
  const end = closed(socket);
  socket.close(1001);
  socket.terminate();
  await end;
  await expect.poll(() => coordinator.connections()).toBe(0);
});

test('a message that is too large is refused with 1009', async () => {
  const { socket } = await dialled();
  const end = closed(socket);
  socket.send('x'.repeat(1024 * 1024 + 1));
  expect([1006, 1009]).toContain((await end).code);
});
