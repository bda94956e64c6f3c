/** A small generator of numbers that repeat with their seed (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

export interface Dice {
  chance(share: number): boolean;
  /** Whole, both ends included. */
  between(from: number, to: number): number;
  pick<T>(from: readonly T[]): T;
}

export function diceFrom(seed: number): Dice {
  const random = randomFrom(seed);
  return {
    chance: (share) => random() < share,
    between: (from, to) => from + Math.floor(random() * (to - from + 1)),
    pick(from) {
      const item = from[Math.floor(random() * from.length)];
      if (item === undefined) throw new Error('nothing to pick from');
      return item;
    },
  };
}
