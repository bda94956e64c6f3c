import { generateKeyPairSync, sign } from 'node:crypto';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { z } from 'zod';
import { EMPTY_DIGEST } from '@berth/shared/domain/desired';
import { challengeText, CLOSE, PROTOCOL_VERSION } from '@berth/shared/protocol/messages';
import { SimulatedAgent, hostId } from '../fakes/simulated-agent.ts';
import { eventually, startCoordinator, type CoordinatorUnderTest } from '../fakes/link-world.ts';

const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function world(options: Parameters<typeof startCoordinator>[0] = {}) {
  const coordinator = await startCoordinator(options);
  cleanups.push(coordinator.stop);
  return coordinator;
}

/** An agent that is connected, and how often it lost its connection. */
async function connected(coordinator: CoordinatorUnderTest, number = 1) {
  const host = hostId(number);
  const agent = new SimulatedAgent({ url: coordinator.url, host });
  coordinator.store.enrol(host, agent.publicKey);
  await agent.online();
  cleanups.push(() => agent.cut());
  return { host, agent };
}

/** A connection that speaks WebSocket byte by byte, as far as the challenge. */
async function raw(coordinator: CoordinatorUnderTest): Promise<{ socket: Socket; closed: Promise<number> }> {
  const socket = connect(coordinator.port, '127.0.0.1');
  const begun = Date.now();
  const closed = new Promise<number>((resolve) => socket.once('close', () => resolve(Date.now() - begun)));
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  socket.write(
    'GET /api/v1/agent/connect HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' +
      'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: berth.v1\r\n\r\n',
  );
  await once(socket, 'data');
  cleanups.push(() => void socket.destroy());
  return { socket, closed };
}

/** A masked frame's head; the mask is all zeros. */
function head(first: number, length: number): Buffer {
  const bytes = Buffer.alloc(14);
  bytes.writeUInt8(first, 0);
  bytes.writeUInt8(0x80 | 127, 1);
  bytes.writeBigUInt64BE(BigInt(length), 2);
  return bytes;
}

/** Writes one byte after the other until the connection is gone. */
function drip(socket: Socket, bytes: () => Buffer): void {
  const timer = setInterval(() => {
    if (socket.writable) socket.write(bytes());
  }, 20);
  socket.once('close', () => clearInterval(timer));
}

describe('a connection that never says hello', () => {
  const fast = { helloTimeoutMs: 400, closeMs: 200 };

  test.each<[string, (socket: Socket) => void]>([
    ['says nothing', () => undefined],
    [
      'drips the bytes of one frame',
      (socket) => {
        socket.write(head(0x81, 10_000));
        drip(socket, () => Buffer.from('x'));
      },
    ],
    [
      'drips the fragments of one message',
      (socket) => {
        socket.write(Buffer.concat([head(0x01, 1), Buffer.from('x')]));
        drip(socket, () => Buffer.concat([head(0x00, 1), Buffer.from('x')]));
      },
    ],
    ['only pings', (socket) => drip(socket, () => Buffer.from([0x89, 0x80, 0, 0, 0, 0]))],
  ])('and %s is cut, and those that are connected stay', async (_name, behave) => {
    const coordinator = await world(fast);
    const { host } = await connected(coordinator);
    const slow = await raw(coordinator);
    behave(slow.socket);
    const ms = await slow.closed;
    expect(ms).toBeGreaterThanOrEqual(390);
    expect(ms).toBeLessThan(3_000);
    await eventually('only the agent is left', () => coordinator.connections() === 1);
    expect(coordinator.fleet.online(host)).toBe(true);
  });

  test('and sends more than a hello can be is cut before it is kept in memory', async () => {
    const coordinator = await world({ helloTimeoutMs: 60_000 });
    const { host } = await connected(coordinator);
    const greedy = await Promise.all(Array.from({ length: 20 }, () => raw(coordinator)));
    for (const { socket } of greedy) {
      socket.write(head(0x81, 1_000_000));
      for (let sent = 0; sent < 900_000; sent += 30_000) socket.write(Buffer.alloc(30_000, 'x'));
    }
    for (const { closed } of greedy) expect(await closed).toBeLessThan(5_000);
    await eventually('only the agent is left', () => coordinator.connections() === 1);
    expect(coordinator.fleet.online(host)).toBe(true);
  });

  test('makes room for agents when there are too many of its kind', async () => {
    const coordinator = await world({ helloTimeoutMs: 60_000, mostOpening: 50 });
    const silent = await Promise.all(Array.from({ length: 200 }, () => raw(coordinator)));
    expect(coordinator.connections()).toBeLessThanOrEqual(50);
    const { host } = await connected(coordinator);
    expect(coordinator.fleet.online(host)).toBe(true);
    expect(silent.filter(({ socket }) => !socket.destroyed).length).toBeLessThanOrEqual(50);
  });
});

test('a hello that was signed for another connection, or for another host, is refused', async () => {
  const coordinator = await world();
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const spki = publicKey.export({ type: 'spki', format: 'der' }).toString('base64');
  const [one, two] = [hostId(1), hostId(2)];
  coordinator.store.enrol(one, spki);
  coordinator.store.enrol(two, new SimulatedAgent({ url: coordinator.url, host: two }).publicKey);
  const signed = (host: string, nonce: string): string =>
    sign(null, Buffer.from(challengeText(host, nonce)), privateKey).toString('base64');
  /** What a connection is answered when its hello is made of its challenge so. */
  const answerTo = async (host: string, signature: (nonce: string) => string): Promise<string> => {
    const socket = new WebSocket(`${coordinator.url}/api/v1/agent/connect`, 'berth.v1');
    cleanups.push(() => socket.terminate());
    return await new Promise((resolve) => {
      socket.on('close', (code) => resolve(`closed ${code}`));
      socket.on('message', (data: Buffer) => {
        const message = Message.parse(JSON.parse(data.toString()));
        if (message.type === 'challenge') socket.send(hello(host, signature(message.nonce ?? '')));
        else resolve(message.type);
      });
    });
  };
  const recorded: string[] = [];
  const refused = `closed ${CLOSE.unauthenticated}`;
  expect(
    await answerTo(one, (nonce) => {
      recorded.push(signed(one, nonce));
      return recorded[0] ?? '';
    }),
  ).toBe('welcome');
  expect(await answerTo(one, () => recorded[0] ?? '')).toBe(refused);
  expect(await answerTo(two, (nonce) => signed(two, nonce))).toBe(refused);
  expect(await answerTo(one, (nonce) => signed(two, nonce))).toBe(refused);
  expect(await answerTo(one, (nonce) => `${signed(one, nonce).slice(0, -4)}AA==`)).toBe(refused);
  expect(coordinator.fleet.online(one)).toBe(true);
});

const Message = z.object({ type: z.string(), nonce: z.string().optional() });

function hello(host: string, signature: string): string {
  return JSON.stringify({
    type: 'hello',
    protocol: PROTOCOL_VERSION,
    host,
    signature,
    epoch: 0,
    revision: 0,
    digest: EMPTY_DIGEST,
    agentVersion: '0.1.0',
    bootId: 'boot',
    capacity: { memoryBytes: 1, cpus: 1, diskBytes: 1 },
    facts: {},
    ingress: { address: '127.0.0.1', port: 80 },
  });
}
