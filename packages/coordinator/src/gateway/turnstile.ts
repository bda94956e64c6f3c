/**
 * Lets so many visitors in at once; the others wait in order, as little more than the bytes they sent. When ten thousand
 * agents come together, what is made for each of them on its way in is garbage again before the collector has moved it.
 */
export interface Turnstile<Visitor> {
  enter(visitor: Visitor): void;
}

/** `admit` settles when its visitor is through, one way or the other; it must not throw. */
export function createTurnstile<Visitor>(
  limit: number,
  admit: (visitor: Visitor) => Promise<void>,
): Turnstile<Visitor> {
  let waiting: Visitor[] = [];
  let next = 0;
  let inside = 0;

  async function pass(first: Visitor): Promise<void> {
    inside += 1;
    let visitor: Visitor | undefined = first;
    while (visitor !== undefined) {
      await admit(visitor);
      visitor = waiting[next];
      next += 1;
      if (next < waiting.length) continue;
      waiting = [];
      next = 0;
    }
    inside -= 1;
  }

  return {
    enter(visitor) {
      if (inside >= limit) waiting.push(visitor);
      else void pass(visitor);
    },
  };
}
