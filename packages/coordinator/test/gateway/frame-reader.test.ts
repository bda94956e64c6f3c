import fc from 'fast-check';
import { expect, test } from 'vitest';
import { FrameReader } from '../../src/gateway/frame-reader.ts';

const MAX_BYTES = 64 * 1024;

/** Everything that a reader hears of these chunks. */
function heard(chunks: readonly Buffer[], maxBytes = MAX_BYTES): string[] {
  const events: string[] = [];
  const reader = new FrameReader(
    {
      onText: (payload) => void events.push(`text ${payload.toString()}`),
      onBinary: () => void events.push('binary'),
      onPing: (payload) => void events.push(`ping ${payload.toString()}`),
      onPong: () => void events.push('pong'),
      onGoodbye: (code) => void events.push(`goodbye ${code}`),
      onBroken: (code) => void events.push(`broken ${code}`),
    },
    maxBytes,
  );
  // Copies, as the reader unmasks in place.
  for (const chunk of chunks) reader.read(Buffer.from(chunk));
  return events;
}

interface Frame {
  opcode: number;
  payload: Buffer;
  final?: boolean;
  masked?: boolean;
  mask?: number;
}

/** A frame as a client sends it, in the shortest form. */
function frame({ opcode, payload, final = true, masked = true, mask = 0x1a2b3c4d }: Frame): Buffer {
  const bytes = payload.length;
  const head = Buffer.alloc(bytes < 126 ? 2 : bytes < 0x10000 ? 4 : 10);
  head[0] = (final ? 0x80 : 0) | opcode;
  head[1] = (masked ? 0x80 : 0) | (bytes < 126 ? bytes : bytes < 0x10000 ? 126 : 127);
  if (head.length === 4) head.writeUInt16BE(bytes, 2);
  if (head.length === 10) head.writeBigUInt64BE(BigInt(bytes), 2);
  if (!masked) return Buffer.concat([head, payload]);
  const key = Buffer.alloc(4);
  key.writeUInt32BE(mask);
  return Buffer.concat([head, key, payload.map((byte, index) => byte ^ (key[index % 4] ?? 0))]);
}

const TEXT = 1;
const text = (value: string, more: Partial<Frame> = {}): Buffer =>
  frame({ opcode: TEXT, payload: Buffer.from(value), ...more });

/** Cuts bytes at these places, given as fractions. */
function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const at = places.map((place) => Math.floor(place * bytes.length)).sort((a, b) => a - b);
  return [0, ...at].map((from, index) => bytes.subarray(from, at[index] ?? bytes.length));
}

const value = fc.oneof(
  fc.string({ maxLength: 300 }),
  fc.string({ unit: 'grapheme', maxLength: 200 }),
  fc.integer({ min: 120, max: 70_000 }).map((length) => 'x'.repeat(length)),
);
const mask = fc.integer({ min: 0, max: 0xffffffff });
const places = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 12 });

test('whatever a client sends arrives, in order, however the network cuts it', () => {
  const message = fc.record({ value, mask, parts: fc.integer({ min: 1, max: 4 }), ping: fc.boolean() });
  fc.assert(
    fc.property(fc.array(message, { maxLength: 8 }), places, (messages, where) => {
      const expected: string[] = [];
      const bytes = messages.flatMap(({ value: whole, mask: key, parts, ping }) => {
        const payload = Buffer.from(whole);
        const size = Math.ceil(payload.length / parts);
        const frames: Buffer[] = [];
        for (let part = 0; part < parts; part += 1) {
          frames.push(
            frame({
              opcode: part === 0 ? TEXT : 0,
              payload: payload.subarray(part * size, (part + 1) * size),
              final: part === parts - 1,
              mask: key,
            }),
          );
          // A ping may come between the parts of a message.
          if (part === 0 && ping) frames.push(frame({ opcode: 9, payload: Buffer.from('hi'), mask: key }));
        }
        if (ping && parts > 1) expected.push('ping hi', `text ${whole}`);
        else expected.push(`text ${whole}`, ...(ping ? ['ping hi'] : []));
        return frames;
      });
      expect(heard(cut(Buffer.concat(bytes), where), 300_000)).toEqual(expected);
    }),
    { numRuns: 300 },
  );
});

test('a byte at a time is as good as all at once', () => {
  const bytes = Buffer.concat([text('one'), text('x'.repeat(2000)), text('two')]);
  expect(heard([...bytes].map((byte) => Buffer.from([byte])))).toEqual(heard([bytes]));
});

const close = (code: number, reason = ''): Buffer => {
  const head = Buffer.alloc(2);
  head.writeUInt16BE(code);
  return frame({ opcode: 8, payload: Buffer.concat([head, Buffer.from(reason)]) });
};
const small = Buffer.from('a');

test.each([
  ['a frame without a mask', text('a', { masked: false }), 'broken 1002'],
  ['a reserved bit', frame({ opcode: 0x41, payload: small }), 'broken 1002'],
  ['an unknown opcode', frame({ opcode: 3, payload: small }), 'broken 1002'],
  ['a ping in parts', frame({ opcode: 9, payload: small, final: false }), 'broken 1002'],
  ['a ping that is too long', frame({ opcode: 9, payload: Buffer.alloc(126) }), 'broken 1002'],
  ['a continuation of nothing', frame({ opcode: 0, payload: small }), 'broken 1002'],
  ['a message within another', Buffer.concat([text('a', { final: false }), text('b')]), 'broken 1002'],
  ['text that is not UTF-8', frame({ opcode: TEXT, payload: Buffer.from([0xc3, 0x28]) }), 'broken 1007'],
  ['a message that is too large', text('a'.repeat(MAX_BYTES + 1)), 'broken 1009'],
  [
    'parts that are too large together',
    Buffer.concat([text('a'.repeat(MAX_BYTES), { final: false }), frame({ opcode: 0, payload: small })]),
    'broken 1009',
  ],
  [
    'a message in parts without end',
    Buffer.concat([
      text('a', { final: false }),
      ...Array.from({ length: 2000 }, () => frame({ opcode: 0, payload: small, final: false })),
    ]),
    'broken 1008',
  ],
  ['a close code of one byte', frame({ opcode: 8, payload: small }), 'broken 1002'],
  ['a close code that may not be sent', close(1005), 'broken 1002'],
  [
    'a close reason that is not UTF-8',
    frame({ opcode: 8, payload: Buffer.from([3, 232, 0xc3, 0x28]) }),
    'broken 1007',
  ],
  ['a goodbye without a code', frame({ opcode: 8, payload: Buffer.alloc(0) }), 'goodbye 1005'],
  ['a goodbye', close(4401, 'bye'), 'goodbye 4401'],
  ['bytes', frame({ opcode: 2, payload: small }), 'binary'],
  ['a pong', frame({ opcode: 10, payload: small }), 'pong'],
])('%s is told as what it is', (_what, bytes, told) => {
  expect(heard([bytes])).toEqual([told]);
});

test('a frame that is too large is refused by its head alone', () => {
  expect(heard([text('a'.repeat(MAX_BYTES + 1)).subarray(0, 10)])).toEqual(['broken 1009']);
  const endless = Buffer.from([0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
  expect(heard([endless])).toEqual(['broken 1009']);
});

test('nothing is read after a goodbye or a fault', () => {
  expect(heard([Buffer.concat([close(1000), text('late')]), text('later')])).toEqual(['goodbye 1000']);
  expect(heard([text('a', { masked: false }), text('later')])).toEqual(['broken 1002']);
});

test('arbitrary bytes never make it throw', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 60 }), { maxLength: 20 }), (chunks) => {
      const events = heard(chunks.map((chunk) => Buffer.from(chunk)));
      expect(events.filter((event) => event.startsWith('broken')).length).toBeLessThanOrEqual(1);
    }),
    { numRuns: 2000 },
  );
});
