/** Nginx that found no room tries again a second later. */
const RETRY_MS = 1_000;
/** How much of the rate so far each read replaces. */
const WEIGHT = 0.2;

/** Guesses how many lines Nginx could not write down, from how many it wrote before. */
export interface Losses {
  /**
   * A read: `counted` lines since `readBefore`, with no room since `fullSince` (null: there was room), and `torn` lines that
   * could not be read. Answers how many may be missing, 0 when none is.
   */
  read(read: {
    counted: number;
    torn: number;
    readBefore: number;
    fullSince: number | null;
    now: number;
  }): number;
}

export function createLosses(): Losses {
  /** Lines in a millisecond; null until there was a read with room. */
  let rate: number | null = null;
  return {
    read({ counted, torn, readBefore, fullSince, now }) {
      const over = Math.max(1, now - readBefore);
      if (fullSince === null) {
        rate = rate === null ? counted / over : rate + (counted / over - rate) * WEIGHT;
        return torn;
      }
      // Times of day may have been changed in between.
      const from = Math.min(Math.max(fullSince, readBefore), now);
      const usual = rate ?? counted / Math.max(1, from - readBefore);
      return torn + Math.max(1, Math.ceil(usual * (now - from + RETRY_MS)));
    },
  };
}
