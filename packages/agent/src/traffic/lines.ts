import { noTraffic, type Traffic } from '@berth/shared/domain/traffic';
import { bucketOf } from './histogram.ts';

/** A time in which an address led to one generation and no other; milliseconds since 1970, both ends included. */
export interface Span {
  from: number;
  to: number;
  generation: number;
}

/** Requests of an address that led to several generations lately. `traffic[i]` is of `spans[i]`. */
export interface Split {
  spans: readonly Span[];
  traffic: (Traffic | null)[];
}

/** What lines came to, by virtual address as `addressKey` writes it. */
export interface Tally {
  byAddress: Map<number, Traffic>;
  /** Addresses of which each request is looked at by its time. */
  split: Map<number, Split>;
  /** Lines that nobody can read: Nginx found no room for all of them. */
  torn: number;
  /** Lines that could be read. */
  lines: number;
  /** Asked once for each address; null where all its requests belong together. */
  spansOf(this: void, address: number): readonly Span[] | null;
}

export function newTally(spansOf: Tally['spansOf'] = () => null): Tally {
  return { byAddress: new Map(), split: new Map(), torn: 0, lines: 0, spansOf };
}

/** An IPv4 address as a signed 32-bit number: a key that needs no text. */
export function addressKey(address: string): number {
  return address.split('.').reduce((key, part) => (key << 8) | Number(part), 0);
}

const NEWLINE = 10;
const SPACE = 32;
const COMMA = 44;
const DASH = 45;
const DOT = 46;
const ZERO = 48;
const COLON = 58;
/** Hosts that nobody has are logged as `nowhere`, paths as `noroute`: leaving them out would cost every request a look. */
const LETTER_N = 110;
/** So many digits before the point are a moment: no request takes thirty years. */
const MOMENT_DIGITS = 10;

/**
 * Counts all whole lines among the first `end` bytes: `ADDRESS STATUS END TOOK TIME`, in seconds with three digits behind
 * the point: when the request ended, how long it took, and a list of times to the first byte, or dashes. The last time
 * counts; without one the request counts, but no latency. A line without END and TOOK, as older agents had them written,
 * counts where it need not be known when it was. Answers how many bytes the whole lines are; what follows is the beginning
 * of a line still being written.
 *
 * The connection to a container was made after the request began, and TIME before its end at the latest: a request whose
 * address led to another generation within that time is nobody's.
 *
 * One pass, byte by byte, and nothing made per line: a busy host has 50,000 of them each second.
 */
export function countLines(bytes: Buffer, end: number, tally: Tally): number {
  const stop = end === 0 ? 0 : bytes.lastIndexOf(NEWLINE, end - 1) + 1;
  let at = 0;
  let lastKey = 0;
  let last: Traffic | undefined;
  let split: Split | undefined;
  while (at < stop) {
    let byte = bytes[at++] ?? NEWLINE;
    if (byte === LETTER_N) {
      while (byte !== NEWLINE) byte = bytes[at++] ?? NEWLINE;
      continue;
    }
    let good = true;

    let key = 0;
    let octet = 0;
    let digits = 0;
    let dots = 0;
    for (; byte > SPACE; byte = bytes[at++] ?? NEWLINE) {
      if (byte === DOT) {
        if (digits === 0) good = false;
        key = (key << 8) | octet;
        octet = 0;
        digits = 0;
        dots += 1;
      } else {
        const digit = byte - ZERO;
        octet = octet * 10 + digit;
        digits += 1;
        if (digit < 0 || digit > 9 || octet > 255) good = false;
      }
    }
    key = (key << 8) | octet;
    if (dots !== 3 || digits === 0 || byte !== SPACE) good = false;

    let status = 0;
    digits = 0;
    if (byte === SPACE)
      for (byte = bytes[at++] ?? NEWLINE; byte > SPACE; byte = bytes[at++] ?? NEWLINE) {
        const digit = byte - ZERO;
        if (digit < 0 || digit > 9) good = false;
        status = status * 10 + digit;
        digits += 1;
      }
    if (digits !== 3 || byte !== SPACE) good = false;

    let ms = -1;
    // Of a moment; apart from the rest, so that every number here stays small.
    let seconds = 0;
    let ended = -1;
    let took = -1;
    let number = 0;
    digits = 0;
    // Digits behind the point so far; -1 before it.
    let behind = -1;
    while (byte !== NEWLINE) {
      byte = bytes[at++] ?? NEWLINE;
      const digit = byte - ZERO;
      if (digit >= 0 && digit <= 9) {
        number = number * 10 + digit;
        digits += 1;
        if (behind >= 0) behind += 1;
      } else if (byte === DOT) {
        if (behind >= 0 || digits === 0) good = false;
        behind = 0;
        if (digits >= MOMENT_DIGITS) {
          seconds = number;
          number = 0;
        }
      } else {
        if (digits > 0) {
          if (behind !== 3) good = false;
          if (seconds > 0) {
            ended = seconds * 1000 + number;
            seconds = 0;
            took = -1;
          } else if (ended >= 0 && took < 0) took = number;
          else ms = number;
          number = 0;
          digits = 0;
          behind = -1;
        }
        if (byte !== NEWLINE && byte !== SPACE && byte !== COMMA && byte !== COLON && byte !== DASH)
          good = false;
      }
    }

    if (!good) {
      tally.torn += 1;
      continue;
    }
    tally.lines += 1;
    if (key !== lastKey || (last === undefined && split === undefined)) {
      last = tally.byAddress.get(key);
      split = last === undefined ? tally.split.get(key) : undefined;
      if (last === undefined && split === undefined) {
        const spans = tally.spansOf(key);
        if (spans === null) tally.byAddress.set(key, (last = noTraffic()));
        else tally.split.set(key, (split = { spans, traffic: spans.map(() => null) }));
      }
      lastKey = key;
    }
    if (split !== undefined)
      last = ended < 0 ? undefined : served(split, ended - took, ended - Math.max(0, ms));
    if (last === undefined) continue;
    last.requests += 1;
    if (status >= 500 && status <= 599) last.errors += 1;
    if (ms >= 0) {
      const bucket = bucketOf(ms);
      last.latency[bucket] = (last.latency[bucket] ?? 0) + 1;
    }
  }
  return stop;
}

/** Whose a request is that was sent on at some time between these two; undefined when that cannot be said. */
function served({ spans, traffic }: Split, from: number, to: number): Traffic | undefined {
  for (let index = spans.length - 1; index >= 0; index -= 1) {
    const span = spans[index];
    if (span === undefined || from < span.from) continue;
    return to <= span.to ? (traffic[index] ??= noTraffic()) : undefined;
  }
  return undefined;
}
