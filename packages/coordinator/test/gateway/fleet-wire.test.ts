import fc from 'fast-check';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { MAX_FRAME_BYTES, PART_BYTES } from '@berth/shared/protocol/messages';
import type { DesiredEntry } from '../../src/services/fleet-store.ts';
import { DEFAULT_HEARTBEAT, heartbeatFor } from '../../src/services/fleet-heartbeat.ts';
import { desiredMessages } from '../../src/services/fleet-wire.ts';

const Message = z.looseObject({
  part: z.int(),
  tenants: z.array(z.looseObject({ tenant: z.string() })),
});
const digest = 'a'.repeat(64);
const entry = (tenant: string, size: number, letter = 'x'): DesiredEntry => ({
  kind: 'tenant',
  tenant,
  json: JSON.stringify({ tenant, filler: letter.repeat(size) }),
});

test('every entry goes out once, in frames within the limit, whatever their sizes', () => {
  const sizes = fc.array(fc.tuple(fc.integer({ min: 0, max: 300_000 }), fc.constantFrom('x', 'ä', '漢')), {
    maxLength: 30,
  });
  fc.assert(
    fc.property(sizes, (list) => {
      const entries = list.map(([size, letter], index) => entry(`t${index}`, size, letter));
      const { messages, tooLarge } = desiredMessages(3, null, { revision: 9, digest, entries });
      const parsed = messages.map((text) => Message.parse(JSON.parse(text)));
      expect(parsed.map((message) => message.part)).toEqual(parsed.map((_, index) => index + 1));
      const sent = parsed.flatMap((message) => message.tenants.map((each) => each.tenant));
      expect(new Set([...sent, ...tooLarge])).toEqual(new Set(entries.map((each) => each.tenant)));
      expect(sent.length + tooLarge.length).toBe(entries.length);
      for (const text of messages) expect(Buffer.byteLength(text)).toBeLessThanOrEqual(MAX_FRAME_BYTES);
      for (const message of parsed) {
        expect(message).toMatchObject({ type: 'desired', epoch: 3, revision: 9, base: null, digest });
        if (message.tenants.length > 1)
          expect(Buffer.byteLength(JSON.stringify(message))).toBeLessThanOrEqual(PART_BYTES + 1024);
      }
    }),
    { numRuns: 40, verbose: 1 },
  );
});

test('an entry that no frame can carry is named, not sent', () => {
  const entries = [entry('small', 10), entry('huge', MAX_FRAME_BYTES), entry('wide', 400_000, '漢')];
  const { messages, tooLarge } = desiredMessages(1, 4, { revision: 5, digest, entries });
  expect(tooLarge).toEqual(['huge', 'wide']);
  expect(messages).toHaveLength(1);
});

test('tombstones and forgotten tenants have their own lists, and an empty state is one message', () => {
  const entries: DesiredEntry[] = [
    { kind: 'tombstone', tenant: 'old', json: '{"tenant":"old"}' },
    { kind: 'forgotten', tenant: 'gone', json: '' },
  ];
  const [text = ''] = desiredMessages(1, 4, { revision: 5, digest, entries }).messages;
  expect(JSON.parse(text)).toMatchObject({
    base: 4,
    parts: 1,
    tenants: [],
    tombstones: [{ tenant: 'old' }],
    forget: ['gone'],
  });
  expect(desiredMessages(1, null, { revision: 0, digest, entries: [] }).messages).toHaveLength(1);
});

test('pings per second stay bounded as the fleet grows, and a time-out bears two missed pings', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 50_000 }), (agents) => {
      const { heartbeatMs, timeoutMs } = heartbeatFor(agents, DEFAULT_HEARTBEAT);
      expect(heartbeatMs).toBeGreaterThanOrEqual(DEFAULT_HEARTBEAT.minMs);
      expect((agents * 1000) / heartbeatMs).toBeLessThanOrEqual(DEFAULT_HEARTBEAT.pingsPerSecond);
      expect(timeoutMs).toBeGreaterThan(2 * heartbeatMs);
    }),
    { verbose: 1 },
  );
  expect(heartbeatFor(3, DEFAULT_HEARTBEAT).heartbeatMs).toBe(10_000);
});
