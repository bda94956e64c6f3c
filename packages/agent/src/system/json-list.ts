const OPEN = 0x5b;
const CLOSE = 0x5d;
const COMMA = 0x2c;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

interface Piece<T> {
  start: number;
  end: number;
  value: T;
}

/**
 * A JSON array that is read again and again and seldom differs much from the time before: only elements whose bytes are
 * new are parsed, the others are the very values of the last time. A list of 1,000 containers is 2 MB of text; to parse
 * all of it costs less than to collect the garbage that it leaves.
 */
export class JsonList<T> {
  readonly #parse: (element: unknown) => T;
  readonly #keyOf: (value: T) => string | null;
  #bytes: Buffer = Buffer.alloc(0);
  #pieces: readonly Piece<T>[] = [];

  /** `keyOf` tells elements apart, so that one that came or went does not make all behind it new; null for unknown. */
  constructor(parse: (element: unknown) => T, keyOf: (value: T) => string | null) {
    this.#parse = parse;
    this.#keyOf = keyOf;
  }

  /** The elements in order. Throws a `SyntaxError` when the bytes are no JSON array; what was known stays known then. */
  read(bytes: Buffer): T[] {
    const pieces: Piece<T>[] = [];
    let places: Map<string, number> | null = null;
    let next = 0;
    let at = skipBlanks(bytes, 0);
    if (bytes[at] !== OPEN) throw new SyntaxError('It is no JSON array.');
    at = skipBlanks(bytes, at + 1);
    let more = bytes[at] !== CLOSE;
    while (more) {
      let piece = this.#sameAs(this.#pieces[next], bytes, at);
      if (piece === null) {
        const end = endOfElement(bytes, at);
        const element: unknown = JSON.parse(bytes.toString('utf8', at, end));
        piece = { start: at, end, value: this.#parse(element) };
        const key = this.#keyOf(piece.value);
        const before = this.#pieces[next];
        if (before !== undefined && this.#keyOf(before.value) === key) next += 1;
        else if (key !== null) {
          const place = (places ??= this.#places()).get(key);
          if (place !== undefined) next = place + 1;
        }
      } else next += 1;
      pieces.push(piece);
      at = skipBlanks(bytes, piece.end);
      more = bytes[at] === COMMA;
      if (more) at = skipBlanks(bytes, at + 1);
    }
    if (bytes[at] !== CLOSE || skipBlanks(bytes, at + 1) < bytes.length)
      throw new SyntaxError(`Its array does not end at byte ${at}.`);
    this.#bytes = bytes;
    this.#pieces = pieces;
    return pieces.map((piece) => piece.value);
  }

  /** Null unless the same bytes are here, and end here. */
  #sameAs(before: Piece<T> | undefined, bytes: Buffer, at: number): Piece<T> | null {
    if (before === undefined) return null;
    const { start, end, value } = before;
    const stop = at + end - start;
    if (stop >= bytes.length || !endsElement(bytes[stop])) return null;
    return bytes.compare(this.#bytes, start, end, at, stop) === 0 ? { start: at, end: stop, value } : null;
  }

  #places(): Map<string, number> {
    const places = new Map<string, number>();
    for (const [place, { value }] of this.#pieces.entries()) {
      const key = this.#keyOf(value);
      if (key !== null) places.set(key, place);
    }
    return places;
  }
}

function skipBlanks(bytes: Buffer, from: number): number {
  let at = from;
  while (isBlank(bytes[at])) at += 1;
  return at;
}

function isBlank(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

function endsElement(byte: number | undefined): boolean {
  return byte === COMMA || byte === CLOSE || isBlank(byte);
}

/** Where the element that begins at `from` ends, told from brackets and strings alone: `JSON.parse` judges the rest. */
function endOfElement(bytes: Buffer, from: number): number {
  let depth = 0;
  let at = from;
  for (; at < bytes.length; at += 1) {
    const byte = bytes[at];
    if (byte === QUOTE) {
      at += 1;
      for (; at < bytes.length && bytes[at] !== QUOTE; at += 1) if (bytes[at] === BACKSLASH) at += 1;
    } else if (byte === OPEN_BRACE || byte === OPEN) depth += 1;
    else if (depth === 0 && (byte === CLOSE || byte === COMMA)) return at;
    else if (byte === CLOSE_BRACE || byte === CLOSE) depth -= 1;
  }
  return Math.min(at, bytes.length);
}
