/** `start`: what a tenant waits for most. `later`: what nobody waits for, such as stopping what no longer serves. */
export type Urgency = 'start' | 'now' | 'later';

/**
 * Lets at most `limit` pieces of work run at once; the others wait in order. What nobody waits for begins when no start
 * is under way, for each takes processor time from the other, or when so much of it waits that twice the limit is
 * reached: old containers hold memory that new ones need.
 */
export interface Gate {
  run<T>(work: () => Promise<T>, signal: AbortSignal, urgency?: Urgency): Promise<T>;
}

export function createGate(limit: number): Gate {
  let running = 0;
  let starting = 0;
  const waiting: Record<'now' | 'later', (() => void)[]> = { now: [], later: [] };

  const mayClear = (): boolean => starting === 0 || waiting.later.length > 2 * limit;

  function next(): (() => void) | undefined {
    if (waiting.later.length > 2 * limit) return waiting.later.shift();
    return waiting.now.shift() ?? (mayClear() ? waiting.later.shift() : undefined);
  }

  /** Each `go` takes its place at once, so this ends when the places or the work do. */
  function admit(): void {
    while (running < limit) {
      const go = next();
      if (go === undefined) return;
      go();
    }
  }

  function take(urgency: Urgency): void {
    running += 1;
    if (urgency === 'start') starting += 1;
  }

  function leave(urgency: Urgency): void {
    running -= 1;
    if (urgency === 'start') starting -= 1;
    admit();
  }

  async function enter(signal: AbortSignal, urgency: Urgency): Promise<void> {
    const queue = urgency === 'later' ? waiting.later : waiting.now;
    await new Promise<void>((resolve, reject) => {
      const go = (): void => {
        signal.removeEventListener('abort', stop);
        // Taken here and not by whoever was called: in between someone else might come in.
        take(urgency);
        resolve();
      };
      const stop = (): void => {
        queue.splice(queue.indexOf(go), 1);
        reject(signal.reason instanceof Error ? signal.reason : new Error('aborted'));
      };
      queue.push(go);
      signal.addEventListener('abort', stop, { once: true });
      admit();
    });
  }

  return {
    async run(work, signal, urgency = 'now') {
      signal.throwIfAborted();
      await enter(signal, urgency);
      try {
        return await work();
      } finally {
        leave(urgency);
      }
    },
  };
}
