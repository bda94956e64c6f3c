import { BerthError } from '@berth/shared/domain/errors';

/** Those who wait for what will have been written down, read and told by some time. */
export interface Waiting {
  /** Resolves with the first `served` at or after that time. Errors: `timeout` when the signal aborts, what `failed` says. */
  until(at: number, signal: AbortSignal): Promise<void>;
  /** How many milliseconds until the first of them is due; infinite when there is none. */
  dueIn(now: number): number;
  /** All that had been written by then is told. */
  served(now: number): void;
  /** It could not be read. */
  failed(now: number, why: string): void;
}

export function createWaiting(): Waiting {
  const all = new Map<object, { at: number; end(error?: BerthError): void }>();

  function endDue(now: number, error?: BerthError): void {
    for (const each of all.values()) if (each.at <= now) each.end(error);
  }

  return {
    until(at, signal) {
      return new Promise<void>((resolve, reject) => {
        const key = {};
        const give = (): void => end(new BerthError('timeout', 'Nobody waits for the counts any more.'));
        const end = (error?: BerthError): void => {
          signal.removeEventListener('abort', give);
          all.delete(key);
          if (error === undefined) resolve();
          else reject(error);
        };
        all.set(key, { at, end });
        signal.addEventListener('abort', give, { once: true });
        if (signal.aborted) give();
      });
    },
    dueIn: (now) => Math.min(Number.POSITIVE_INFINITY, ...[...all.values()].map((each) => each.at - now)),
    served: (now) => endDue(now),
    failed: (now, why) =>
      endDue(now, new BerthError('unavailable', `This host cannot read what it served: ${why}`)),
  };
}
