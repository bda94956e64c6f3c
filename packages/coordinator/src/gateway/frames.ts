import type { Duplex } from 'node:stream';

/**
 * Writes one unmasked text frame. `ws` writes head and payload as two buffers, which costs a gathered write; one string
 * goes to the kernel from the stack. Whole frames may be mixed with those that `ws` writes itself on the same stream, as
 * nothing here is compressed or fragmented.
 */
export function writeText(stream: Duplex, text: string, sent?: (error?: Error | null) => void): void {
  const bytes = Buffer.byteLength(text);
  const head = headOf(bytes);
  if (bytes === text.length) {
    // ASCII only: one byte per unit, as in the head.
    stream.write(head + text, 'latin1', sent);
    return;
  }
  const frame = Buffer.allocUnsafe(head.length + bytes);
  frame.write(head, 'latin1');
  frame.write(text, head.length);
  stream.write(frame, sent);
}

const FINAL_TEXT = 0x81;

/** The head of a final, unmasked text frame of so many bytes, one character a byte. */
function headOf(bytes: number): string {
  if (bytes < 126) return String.fromCharCode(FINAL_TEXT, bytes);
  if (bytes < 0x10000) return String.fromCharCode(FINAL_TEXT, 126, bytes >> 8, bytes & 0xff);
  return String.fromCharCode(
    FINAL_TEXT,
    127,
    0,
    0,
    0,
    0,
    (bytes >>> 24) & 0xff,
    (bytes >>> 16) & 0xff,
    (bytes >>> 8) & 0xff,
    bytes & 0xff,
  );
}
