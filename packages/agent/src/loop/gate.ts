/** Lets at most `limit` pieces of work run at once; the others wait in order. */
export interface Gate {
  run<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T>;
}

export function createGate(limit: number): Gate {
  let running = 0;
  const waiting: (() => void)[] = [];

  function leave(): void {
    running -= 1;
    waiting.shift()?.();
  }

  async function enter(signal: AbortSignal): Promise<void> {
    if (running >= limit) {
      await new Promise<void>((resolve, reject) => {
        const go = (): void => {
          signal.removeEventListener('abort', stop);
          resolve();
        };
        const stop = (): void => {
          waiting.splice(waiting.indexOf(go), 1);
          reject(signal.reason instanceof Error ? signal.reason : new Error('aborted'));
        };
        waiting.push(go);
        signal.addEventListener('abort', stop, { once: true });
      });
    }
    running += 1;
  }

  return {
    async run(work, signal) {
      signal.throwIfAborted();
      await enter(signal);
      try {
        return await work();
      } finally {
        leave();
      }
    },
  };
}
