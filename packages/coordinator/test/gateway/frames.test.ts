import { PassThrough } from 'node:stream';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { writeText } from '../../src/gateway/frames.ts';

/** What a WebSocket peer reads, by RFC 6455: final text frames without a mask, and nothing besides. */
function readFrames(bytes: Buffer): string[] {
  const texts: string[] = [];
  let at = 0;
  while (at < bytes.length) {
    expect(bytes[at]).toBe(0x81);
    const short = bytes.readUInt8(at + 1);
    expect(short & 0x80).toBe(0);
    const head = short < 126 ? 2 : short === 126 ? 4 : 10;
    const length =
      short < 126
        ? short
        : short === 126
          ? bytes.readUInt16BE(at + 2)
          : Number(bytes.readBigUInt64BE(at + 2));
    // The shortest form is the only legal one.
    if (short === 126) expect(length).toBeGreaterThanOrEqual(126);
    if (short === 127) expect(length).toBeGreaterThanOrEqual(0x10000);
    texts.push(bytes.toString('utf8', at + head, at + head + length));
    at += head + length;
  }
  expect(at).toBe(bytes.length);
  return texts;
}

function written(texts: readonly string[]): Buffer {
  const stream = new PassThrough({ highWaterMark: 64 * 1024 * 1024 });
  for (const text of texts) writeText(stream, text);
  const bytes: unknown = stream.read();
  return Buffer.isBuffer(bytes) ? bytes : Buffer.alloc(0);
}

const text = fc.oneof(
  fc.string({ maxLength: 400 }),
  fc.string({ maxLength: 400, unit: 'grapheme' }),
  fc
    .constantFrom(0, 1, 124, 125, 126, 127, 65_534, 65_535, 65_536, 70_000)
    .map((length) => 'a'.repeat(length)),
  fc.constantFrom(41, 42, 21_845, 21_846).map((length) => '€'.repeat(length)),
);

test('frames say what they are made of, whatever their size and their letters', () => {
  fc.assert(
    fc.property(fc.array(text, { minLength: 1, maxLength: 5 }), (texts) => {
      expect(readFrames(written(texts))).toEqual(texts.map((each) => Buffer.from(each).toString()));
    }),
  );
});

test('the callback hears that the bytes have left', async () => {
  const stream = new PassThrough();
  await new Promise<void>((resolve, reject) => {
    writeText(stream, '{"type":"welcome"}', (error) => (error ? reject(error) : resolve()));
    stream.resume();
  });
});
