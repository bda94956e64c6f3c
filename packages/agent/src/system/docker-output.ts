import { Readable, Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import type { Modem } from './docker-dial.ts';

/**
 * docker-modem calls itself once for each frame of a piece: 64 KiB of one-byte frames would be more than the stack
 * holds, and what is left over is copied for each of them.
 */
const PIECE_BYTES = 1024;

/** Both streams of a container or an exec in the order in which they came, as text of at most `limit` bytes. */
export async function outputOf(
  modem: Modem,
  stream: AsyncIterable<string | Buffer>,
  framed: boolean,
  limit: number,
): Promise<string> {
  const parts: Buffer[] = [];
  let size = 0;
  const take = (chunk: unknown): void => {
    if (!Buffer.isBuffer(chunk) || size >= limit) return;
    parts.push(chunk);
    size += chunk.length;
  };
  // What comes after the limit is read and thrown away, so that the daemon is not left waiting.
  async function* pieces(): AsyncGenerator<Buffer> {
    for await (const chunk of stream) {
      const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
      for (let at = 0; at < bytes.length && size < limit; at += PIECE_BYTES)
        yield bytes.subarray(at, at + PIECE_BYTES);
    }
  }
  if (framed) {
    const source = Readable.from(pieces());
    const sink = new Writable({
      write(chunk: unknown, _encoding, done) {
        take(chunk);
        done();
      },
    });
    modem.demuxStream(source, sink, sink);
    await finished(source);
  } else for await (const piece of pieces()) take(piece);
  return Buffer.concat(parts).subarray(0, limit).toString('utf8');
}
