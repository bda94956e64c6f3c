import { opensAt, windowWords, type Window } from '@berth/shared/domain/window';

export interface Opening {
  words: string;
  /** Milliseconds since 1970; null when it does not open within the next days. */
  opensAt: number | null;
}

/** When windows open next, seen from `now`. Many tenants have the same window; it is worked out once. */
export function createOpenings(now: number): (window: Window | null) => Opening | null {
  const known = new Map<string, Opening>();
  return (window) => {
    if (window === null) return null;
    const words = windowWords(window);
    let opening = known.get(words);
    if (opening === undefined) known.set(words, (opening = { words, opensAt: opensAt(window, now) }));
    return opening;
  };
}
