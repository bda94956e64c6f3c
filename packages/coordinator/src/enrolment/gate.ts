import { BerthError } from '@berth/shared/domain/errors';

export function tooMany(): BerthError {
  return new BerthError('rate_limited', 'Many hosts enrol at this moment; this one is to try again soon.', {
    details: { retryAfterMs: 2_000 },
  });
}

export interface Pace {
  /** False when this one would be too many. `at` is milliseconds. */
  take(at: number): boolean;
}

/** So many a second, and so many at once after a quiet time. */
export function createPace(perSecond: number, atOnce: number): Pace {
  let left = atOnce;
  let then = Number.NEGATIVE_INFINITY;
  return {
    take(at) {
      // A clock that was set back gives nothing and takes nothing.
      if (at > then) left = Math.min(atOnce, left + ((at - then) * perSecond) / 1000);
      then = at;
      if (left < 1) return false;
      left -= 1;
      return true;
    },
  };
}

/**
 * Lets so many calls run at one time and so many wait; who comes on top of them is turned away at once. Errors:
 * `rate_limited`.
 */
export function createGate(atOnce: number, waiting: number) {
  let running = 0;
  const queue: (() => void)[] = [];
  return async function pass<T>(work: () => Promise<T>): Promise<T> {
    if (running >= atOnce) {
      if (queue.length >= waiting) throw tooMany();
      await new Promise<void>((resolve) => queue.push(resolve));
    } else running += 1;
    try {
      return await work();
    } finally {
      const next = queue.shift();
      if (next === undefined) running -= 1;
      else next();
    }
  };
}
