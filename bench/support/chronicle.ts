import type { ApiClient } from '@berth/shared/api/client';
import type { Event } from '@berth/shared/api/schemas';
import { z } from 'zod';
import { median, rounded, type Bench } from './bench.ts';

const Step = z.object({ step: z.string(), state: z.string(), ms: z.number().nullable() });

/** Every event since it was opened, as the API's stream tells them. */
export interface Chronicle {
  readonly events: readonly Event[];
  /** Resolves with the first event, also a past one, for which it holds. Rejects when a tenant fails meanwhile. */
  until(what: string, holds: (event: Event) => boolean, timeoutMs?: number): Promise<Event>;
  /** Median milliseconds of each kind of step, of those events for which it holds, in the order of their first start. */
  steps(holds: (event: Event) => boolean): Record<string, number>;
}

export async function openChronicle(bench: Bench, api: ApiClient): Promise<Chronicle> {
  const events: Event[] = [];
  const waiting = new Set<(event: Event) => void>();
  const closing = new AbortController();
  // Each event with its time, for finding out where a deploy spends it.
  const trace = process.env['BERTH_BENCH_TRACE'] === '1';
  const signal = AbortSignal.any([bench.signal, closing.signal]);
  const { last } = await api.listEvents({ query: { limit: 1 } });
  const follow = async (): Promise<void> => {
    let after = last;
    while (!signal.aborted) {
      try {
        for await (const event of api.followEvents({ after }, signal)) {
          after = event.id;
          events.push(event);
          if (trace)
            bench.say(
              `${event.at} ${event.tenant} g${event.generation} ${event.kind} ${JSON.stringify(event.details)}`,
            );
          for (const tell of waiting) tell(event);
        }
      } catch (thrown) {
        if (!signal.aborted) bench.say(`event stream: ${String(thrown)}`);
      }
    }
  };
  const ended = follow();
  bench.defer('event stream', async () => {
    closing.abort(new Error('done'));
    await ended;
  });
  return {
    events,
    until(what, holds, timeoutMs = 120_000) {
      const past = events.find(holds);
      if (past !== undefined) return Promise.resolve(past);
      return new Promise((resolve, reject) => {
        const end = (): void => {
          clearTimeout(timer);
          waiting.delete(look);
          signal.removeEventListener('abort', stop);
        };
        const look = (event: Event): void => {
          if (event.kind === 'tenant.failed' || event.kind === 'tenant.blocked') {
            end();
            reject(new Error(`${event.tenant}: ${event.message} ${JSON.stringify(event.details)}`));
          }
          if (!holds(event)) return;
          end();
          resolve(event);
        };
        const stop = (): void => {
          end();
          reject(new Error(`stopped while waiting for ${what}`));
        };
        const timer = setTimeout(() => {
          end();
          reject(new Error(`${what} did not happen within ${timeoutMs / 1000} s`));
        }, timeoutMs);
        waiting.add(look);
        signal.addEventListener('abort', stop, { once: true });
      });
    },
    steps(holds) {
      const times = new Map<string, number[]>();
      for (const event of events) {
        if (event.kind !== 'tenant.step' || !holds(event)) continue;
        const { step, state, ms } = Step.parse(event.details);
        if (state === 'done') times.set(step, [...(times.get(step) ?? []), ms ?? 0]);
      }
      return Object.fromEntries([...times].map(([step, all]) => [step, rounded(median(all), 0)]));
    },
  };
}

/** Waits until one generation of a tenant serves and nothing is left to do for it. */
export async function untilSettled(
  chronicle: Chronicle,
  changed: { tenant: string; generation: number },
): Promise<void> {
  const of = (event: Event): boolean =>
    event.tenant === changed.tenant && event.generation === changed.generation;
  await chronicle.until(
    `${changed.tenant} settled`,
    (event) => of(event) && event.kind === 'tenant.settled',
    120_000,
  );
}
