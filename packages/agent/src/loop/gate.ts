/** `later`: what nobody waits for, such as stopping what no longer serves. */
export type Urgency = 'now' | 'later';

/**
 * Lets at most `limit` pieces of work run at once; the others wait in order. What nobody waits for lets the rest go
 * first, until so much of it waits that twice the limit is reached: old containers hold memory that new ones need.
 */
export interface Gate {
  run<T>(work: () => Promise<T>, signal: AbortSignal, urgency?: Urgency): Promise<T>;
}

export function createGate(limit: number): Gate {
  let running = 0;
  const waiting: Record<Urgency, (() => void)[]> = { now: [], later: [] };

  function leave(): void {
    running -= 1;
    const overdue = waiting.later.length > 2 * limit;
    const next = overdue ? waiting.later.shift() : (waiting.now.shift() ?? waiting.later.shift());
    next?.();
  }

  async function enter(signal: AbortSignal, urgency: Urgency): Promise<void> {
    if (running >= limit) {
      const queue = waiting[urgency];
      await new Promise<void>((resolve, reject) => {
        const go = (): void => {
          signal.removeEventListener('abort', stop);
          // Taken here and not by whoever was called: in between someone else might come in.
          running += 1;
          resolve();
        };
        const stop = (): void => {
          queue.splice(queue.indexOf(go), 1);
          reject(signal.reason instanceof Error ? signal.reason : new Error('aborted'));
        };
        queue.push(go);
        signal.addEventListener('abort', stop, { once: true });
      });
      return;
    }
    running += 1;
  }

  return {
    async run(work, signal, urgency = 'now') {
      signal.throwIfAborted();
      await enter(signal, urgency);
      try {
        return await work();
      } finally {
        leave();
      }
    },
  };
}
