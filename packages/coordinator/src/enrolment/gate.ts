import { BerthError } from '@berth/shared/domain/errors';

/**
 * Lets so many calls run at one time and so many wait; who comes on top of them is turned away at once. Errors:
 * `rate_limited`.
 */
export function createGate(atOnce: number, waiting: number) {
  let running = 0;
  const queue: (() => void)[] = [];
  return async function pass<T>(work: () => Promise<T>): Promise<T> {
    if (running >= atOnce) {
      if (queue.length >= waiting) {
        throw new BerthError(
          'rate_limited',
          'Many hosts enrol at this moment; this one is to try again soon.',
        );
      }
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
