import { BerthError } from '@berth/shared/domain/errors';

/** Those who wait until what they have put into the outbox is on record at the coordinator. */
export interface Deliveries {
  /** `seq`: the message that has the last of it; null while some of it is not in any message yet. */
  wait(seq: number | null, signal: AbortSignal): Promise<void>;
  /** With this message all that waited has left. */
  sent(seq: number): void;
  acknowledged(upTo: number): void;
  /** The connection is gone, and with it who asked. */
  lost(): void;
}

interface Delivery {
  seq: number | null;
  end(error?: BerthError): void;
}

export function createDeliveries(): Deliveries {
  const all = new Set<Delivery>();
  return {
    wait(seq, signal) {
      return new Promise<void>((resolve, reject) => {
        const give = (): void => delivery.end(new BerthError('timeout', 'Nobody waits for it any more.'));
        const delivery: Delivery = {
          seq,
          end(error) {
            signal.removeEventListener('abort', give);
            all.delete(delivery);
            if (error === undefined) resolve();
            else reject(error);
          },
        };
        all.add(delivery);
        signal.addEventListener('abort', give, { once: true });
        if (signal.aborted) give();
      });
    },
    sent(seq) {
      for (const each of all) each.seq ??= seq;
    },
    acknowledged(upTo) {
      for (const each of all) if (each.seq !== null && each.seq <= upTo) each.end();
    },
    lost() {
      for (const each of all)
        each.end(new BerthError('host_offline', 'The connection to the coordinator was lost.'));
    },
  };
}
