import { isUtf8 } from 'node:buffer';

/** What a peer's frames amount to. A text's bytes may be kept; they are nobody else's. */
export interface FrameSink {
  onText(payload: Buffer): void;
  onBinary(): void;
  onPing(payload: Buffer): void;
  onPong(): void;
  /** The peer says goodbye; 1005 when it gave no code. Nothing is read after it. */
  onGoodbye(code: number): void;
  /** The peer broke the protocol; `code` is how to close. Nothing is read after it. */
  onBroken(code: number, why: string): void;
}

const BROKEN = 1002;
const NOT_UTF8 = 1007;
const TOO_LARGE = 1009;
const NO_CODE = 1005;
/** A message in more pieces than this is made to cost, not to say something. */
const MAX_FRAGMENTS = 1024;
const SMALLEST_HOLD = 512;
const EMPTY = Buffer.alloc(0);

type Opcode = 'continuation' | 'text' | 'binary' | 'close' | 'ping' | 'pong';
const OPCODES = new Map<number, Opcode>([
  [0, 'continuation'],
  [1, 'text'],
  [2, 'binary'],
  [8, 'close'],
  [9, 'ping'],
  [10, 'pong'],
]);

/**
 * Reads a client's WebSocket frames (RFC 6455, section 5): masked, without extensions, no message larger than
 * `maxBytes`. A chunk that ends with a frame leaves nothing behind, so that an idle connection holds no buffer.
 */
export class FrameReader {
  readonly #sink: FrameSink;
  readonly #maxBytes: number;
  /** The beginning of a frame whose end has not come; grows by doubling, so that a byte at a time costs no more. */
  #held = EMPTY;
  #heldBytes = 0;
  /** The message that goes on in further frames; null outside of one. */
  #message: { opcode: 'text' | 'binary'; bytes: number; fragments: Buffer[] } | null = null;
  #over = false;

  constructor(sink: FrameSink, maxBytes: number) {
    this.#sink = sink;
    this.#maxBytes = maxBytes;
  }

  /** Takes what came from the network. The chunk is unmasked in place and may be passed on in parts. */
  read(chunk: Buffer): void {
    if (this.#over) return;
    const data = this.#heldBytes === 0 ? chunk : this.#hold(chunk);
    let from = 0;
    while (!this.#over && from < data.length) {
      const used = this.#frame(data, from);
      if (used === 0) break;
      from += used;
    }
    if (this.#over || from === data.length) {
      this.#held = EMPTY;
      this.#heldBytes = 0;
    } else if (from > 0 || this.#heldBytes === 0) {
      const rest = data.subarray(from);
      this.#held = EMPTY;
      this.#heldBytes = 0;
      this.#hold(rest);
    }
  }

  /** Adds to what is held, and answers all of it. */
  #hold(chunk: Buffer): Buffer {
    const bytes = this.#heldBytes + chunk.length;
    if (bytes > this.#held.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(SMALLEST_HOLD, bytes, this.#held.length * 2));
      this.#held.copy(larger, 0, 0, this.#heldBytes);
      this.#held = larger;
    }
    chunk.copy(this.#held, this.#heldBytes);
    this.#heldBytes = bytes;
    return this.#held.subarray(0, bytes);
  }

  /** Reads one frame and answers its size; 0 when not all of it is here, or when it is wrong. */
  #frame(data: Buffer, from: number): number {
    const available = data.length - from;
    const first = data[from] ?? 0;
    const second = data[from + 1];
    const opcode = OPCODES.get(first & 0x0f);
    if ((first & 0x70) !== 0) return this.#broken(BROKEN, 'a reserved bit is set');
    if (opcode === undefined) return this.#broken(BROKEN, 'the opcode is unknown');
    if (second === undefined) return 0;
    if ((second & 0x80) === 0) return this.#broken(BROKEN, 'the frame is not masked');
    const final = (first & 0x80) !== 0;
    const short = second & 0x7f;
    const control = (first & 0x08) !== 0;
    if (control && (!final || short > 125))
      return this.#broken(BROKEN, 'a control frame is too long or in parts');
    const head = short < 126 ? 6 : short === 126 ? 8 : 14;
    if (available < head - 4) return 0;
    let bytes = short;
    if (short === 126) bytes = data.readUInt16BE(from + 2);
    else if (short === 127) bytes = data.readUInt32BE(from + 2) * 0x1_0000_0000 + data.readUInt32BE(from + 6);
    // By its head alone: what nobody will take is not waited for.
    if (!control && bytes + (this.#message?.bytes ?? 0) > this.#maxBytes)
      return this.#broken(TOO_LARGE, 'the message is too large');
    if (available < head + bytes) return 0;
    const start = from + head;
    const payload = data.subarray(start, start + bytes);
    unmask(payload, data, start - 4);
    this.#take(opcode, final, payload);
    return head + bytes;
  }

  #take(opcode: Opcode, final: boolean, payload: Buffer): void {
    switch (opcode) {
      case 'ping':
        this.#sink.onPing(payload);
        return;
      case 'pong':
        this.#sink.onPong();
        return;
      case 'close':
        this.#goodbye(payload);
        return;
      case 'continuation':
        this.#goesOn(final, payload);
        return;
      case 'text':
      case 'binary':
        if (this.#message !== null) this.#broken(BROKEN, 'a message began within another');
        else if (final) this.#whole(opcode, payload);
        else this.#message = { opcode, bytes: payload.length, fragments: [Buffer.from(payload)] };
        return;
    }
  }

  #goesOn(final: boolean, payload: Buffer): void {
    const message = this.#message;
    if (message === null) {
      this.#broken(BROKEN, 'a message goes on that has not begun');
      return;
    }
    message.bytes += payload.length;
    message.fragments.push(Buffer.from(payload));
    if (final) {
      this.#message = null;
      this.#whole(message.opcode, Buffer.concat(message.fragments, message.bytes));
    } else if (message.fragments.length > MAX_FRAGMENTS) this.#broken(1008, 'the message has too many parts');
  }

  #whole(opcode: 'text' | 'binary', payload: Buffer): void {
    if (opcode === 'binary') this.#sink.onBinary();
    else if (isUtf8(payload)) this.#sink.onText(payload);
    else this.#broken(NOT_UTF8, 'the text is not UTF-8');
  }

  #goodbye(payload: Buffer): void {
    const given = payload.length > 0;
    const code = given ? (payload.length === 1 ? 0 : payload.readUInt16BE(0)) : NO_CODE;
    if (given && !mayBeSent(code)) this.#broken(BROKEN, 'the close code is none that may be sent');
    else if (!isUtf8(payload.subarray(2))) this.#broken(NOT_UTF8, 'the reason is not UTF-8');
    else {
      this.#over = true;
      this.#sink.onGoodbye(code);
    }
  }

  #broken(code: number, why: string): 0 {
    if (!this.#over) {
      this.#over = true;
      this.#message = null;
      this.#sink.onBroken(code, why);
    }
    return 0;
  }
}

/** RFC 6455, section 7.4, and the registry that it begins. */
function mayBeSent(code: number): boolean {
  if (code >= 3000) return code <= 4999;
  return code >= 1000 && code <= 1014 && code !== 1004 && code !== 1005 && code !== 1006;
}

function unmask(payload: Buffer, data: Buffer, at: number): void {
  const mask = data.readUInt32BE(at);
  if (mask === 0) return;
  for (let index = 0; index < payload.length; index += 1)
    payload[index] = (payload[index] ?? 0) ^ ((mask >>> (8 * (3 - (index & 3)))) & 0xff);
}
