import type { Duplex } from 'node:stream';

const FINAL = 0x80;
const FINAL_TEXT = FINAL | 1;
const CONTROL = { close: 8, ping: 9, pong: 10 } as const;

/**
 * Writes one unmasked text frame as one string, which goes to the kernel from the stack; head and payload as two buffers
 * would cost a gathered write. `before`, ASCII, leaves ahead of the frame in the same write.
 */
export function writeText(
  stream: Duplex,
  text: string,
  sent?: (error?: Error | null) => void,
  before = '',
): void {
  const bytes = Buffer.byteLength(text);
  const head = before + headOf(bytes);
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

/** A close, ping or pong frame. What it carries is cut to the 125 bytes that it may have. */
export function controlFrame(kind: keyof typeof CONTROL, payload: Buffer): Buffer {
  const bytes = Math.min(payload.length, 125);
  const frame = Buffer.alloc(2 + bytes);
  frame[0] = FINAL | CONTROL[kind];
  frame[1] = bytes;
  payload.copy(frame, 2, 0, bytes);
  return frame;
}

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
