import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { partBytesFor, partsOf } from '../../src/backup/parts.ts';

describe('the parts of an upload', () => {
  test('are the body again, all of one size but the last, which alone is marked', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.uint8Array({ maxLength: 50 }), { maxLength: 20 }),
        fc.integer({ min: 1, max: 40 }),
        async (chunks, size) => {
          async function* body(): AsyncGenerator<Buffer> {
            for (const chunk of chunks) yield Buffer.from(chunk);
          }
          const seen: { data: Buffer; number: number; last: boolean }[] = [];
          for await (const part of partsOf(body(), size)) {
            seen.push({ data: Buffer.from(part.data), number: part.number, last: part.last });
            // Its memory is written over from now on.
            part.free();
          }
          expect(Buffer.concat(seen.map(({ data }) => data))).toEqual(Buffer.concat(chunks));
          expect(seen.map(({ number }) => number)).toEqual(seen.map((_, at) => at + 1));
          expect(seen.map(({ last }) => last)).toEqual(seen.map((_, at) => at === seen.length - 1));
          for (const { data } of seen.slice(0, -1)) expect(data.length).toBe(size);
        },
      ),
    );
  });

  test('use no more memory than the parts that were not given back', async () => {
    const buffers = new Set<ArrayBufferLike>();
    async function* body(): AsyncGenerator<Buffer> {
      for (let at = 0; at < 100; at += 1) yield Buffer.alloc(10, at);
    }
    for await (const part of partsOf(body(), 20)) {
      if (part.data.length > 0) buffers.add(part.data.buffer);
      part.free();
    }
    expect(buffers.size).toBeLessThanOrEqual(2);
  });

  test('are few enough for S3 however large the database, and never too small', () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 5e13, noNaN: true }), (expected) => {
        const size = partBytesFor(expected);
        expect(size).toBeGreaterThanOrEqual(8 * 1024 * 1024);
        expect(Math.ceil((expected * 2) / size)).toBeLessThanOrEqual(10_000);
      }),
    );
  });
});
