/**
 * How soon something is told. `awaited`: somebody may wait for it, so at once, unless something was told just now.
 * `news`: a moment later, with what comes meanwhile. `progress`: what nobody decides by. `detail`: what other words have
 * told of already in short.
 */
export type Haste = 'awaited' | 'news' | 'progress' | 'detail';

export interface Pace {
  /** Something of this haste waits. */
  want(haste: Haste): void;
  /** Everything but details is being told right now. */
  told(): void;
  /** Nobody listens any more. */
  stop(): void;
}

/** Calls `tell` when it is time: for all that waits but details, or for these as well. */
export function createPace(
  waitsMs: Readonly<Record<Exclude<Haste, 'awaited'>, number>>,
  tell: (what: 'all' | 'all-but-details') => void,
): Pace {
  const timers = new Map<Haste, NodeJS.Timeout>();
  let resting: NodeJS.Timeout | null = null;

  function arm(haste: Haste, ms: number): void {
    const timer = setTimeout(() => {
      timers.delete(haste);
      told();
      if (haste === 'detail') tell('all');
      else tell('all-but-details');
    }, ms);
    timer.unref();
    timers.set(haste, timer);
  }

  function told(): void {
    for (const haste of ['awaited', 'news', 'progress'] as const) disarm(haste);
    if (resting !== null) clearTimeout(resting);
    resting = setTimeout(() => (resting = null), waitsMs.news);
    resting.unref();
  }

  function disarm(haste: Haste): void {
    clearTimeout(timers.get(haste));
    timers.delete(haste);
  }

  return {
    want(wanted) {
      const haste = wanted === 'awaited' && resting !== null ? 'news' : wanted;
      if (timers.has(haste)) return;
      // A sooner telling includes it.
      if (haste !== 'detail' && timers.has('awaited')) return;
      if (haste === 'progress' && timers.has('news')) return;
      arm(haste, haste === 'awaited' ? 0 : waitsMs[haste]);
    },
    told,
    stop() {
      for (const haste of timers.keys()) disarm(haste);
      if (resting !== null) clearTimeout(resting);
      resting = null;
    },
  };
}
