/** A bell that may be rung before anybody waits for it. */
export interface Bell {
  ring(): void;
  /** Rings in `ms`, unless it is about to ring anyway. */
  ringSoon(ms: number): void;
  /** Resolves when it was rung since the last wait ended, after `ms`, or when the signal aborts. */
  wait(ms: number, signal: AbortSignal): Promise<void>;
}

export function createBell(): Bell {
  let rung = false;
  let listener: (() => void) | null = null;
  let soon: NodeJS.Timeout | null = null;

  function ring(): void {
    if (soon !== null) clearTimeout(soon);
    soon = null;
    rung = true;
    listener?.();
  }

  return {
    ring,
    ringSoon(ms) {
      soon ??= setTimeout(ring, ms);
    },
    async wait(ms, signal) {
      if (!rung && !signal.aborted) {
        await new Promise<void>((resolve) => {
          const end = (): void => {
            clearTimeout(timer);
            signal.removeEventListener('abort', end);
            listener = null;
            resolve();
          };
          const timer = setTimeout(end, ms);
          signal.addEventListener('abort', end, { once: true });
          listener = end;
        });
      }
      rung = false;
    },
  };
}
