import type { Store } from './store.ts';

/** The same two are told of once in this time, however often they come. */
const AGAIN_MS = 10 * 60_000;
/**
 * Events of refusals within that time, of all together: a flood of bad proofs must not fill the journal. What anybody can
 * make up has a share of its own, so that it does not crowd out what somebody had to prove.
 */
const MOST = { proven: 60, claimed: 10 };

export interface Refusal {
  kind: 'host.enrolment_refused' | 'host.clone_refused';
  /** What came, such as an instance. */
  instance: string;
  /** What it does not go with. */
  other: string;
  host: string | null;
  message: string;
  /** `claimed`: anybody could have sent it, about any machine. */
  weight?: 'proven' | 'claimed';
}

export interface EnrolAlerts {
  /** Tells people of an enrolment that was refused, unless they were told a moment ago. */
  raise(refusal: Refusal): Promise<void>;
}

/** What was told is kept in memory only: after a restart it is told once more. */
export function createEnrolAlerts(store: Store, clock: { now(): number }): EnrolAlerts {
  const toldOf = { proven: new Map<string, number>(), claimed: new Map<string, number>() };
  return {
    async raise({ kind, instance, other, host, message, weight = 'proven' }) {
      const at = clock.now();
      const told = toldOf[weight];
      for (const [key, when] of told) {
        if (at - when < AGAIN_MS) break;
        told.delete(key);
      }
      const key = `${kind} ${instance} ${other}`;
      if (told.has(key) || told.size >= MOST[weight]) return;
      told.set(key, at);
      await store.mutate({ actor: 'coordinator', requestId: '' }, at, async (tx) => {
        await tx.addEvents([
          {
            kind,
            at,
            tenant: null,
            app: null,
            host,
            generation: null,
            message: message.slice(0, 1000),
            details: { instance, other, ...(host === null ? {} : { host }) },
          },
        ]);
        return { result: null, audit: 'bookkeeping' };
      });
    },
  };
}
