/** S3 takes at most so many parts, all but the last of 5 MiB or more. */
const MOST_PARTS = 10_000;
const SMALLEST = 8 * 1024 * 1024;
const MIB = 1024 * 1024;

/**
 * How large each part is: 8 MiB, and more only where ten thousand of those might not do. Twice what is expected must
 * fit: a database may grow, and may not compress.
 */
export function partBytesFor(expectedBytes: number): number {
  return Math.max(SMALLEST, Math.ceil((expectedBytes * 2) / MOST_PARTS / MIB) * MIB);
}

export interface Part {
  /** From 1. */
  number: number;
  data: Buffer;
  last: boolean;
  /** Gives the memory back for a later part. */
  free(): void;
}

/** A body in parts of one size, the last one smaller. Its memory is that of the parts that were not given back. */
export async function* partsOf(body: AsyncIterable<Buffer>, partBytes: number): AsyncGenerator<Part> {
  const spare: Buffer[] = [];
  let room: Buffer | null = null;
  let filled = 0;
  let number = 0;
  const part = (last: boolean): Part => {
    const whole = room ?? Buffer.alloc(0);
    const data = whole.subarray(0, filled);
    number += 1;
    room = null;
    filled = 0;
    return {
      number,
      data,
      last,
      free() {
        if (whole.length === partBytes) spare.push(whole);
      },
    };
  };
  for await (const chunk of body) {
    for (let from = 0; from < chunk.length;) {
      // A full part waits until there is more: only then it is known not to be the last.
      if (filled === partBytes) yield part(false);
      room ??= spare.pop() ?? Buffer.allocUnsafeSlow(partBytes);
      const copied = chunk.copy(room, filled, from);
      filled += copied;
      from += copied;
    }
  }
  yield part(true);
}
