import type { Event } from '@berth/shared/api/schemas';
import type { Problem } from '@berth/shared/domain/step';

/** How long to go on watching a tenant that is blocked. */
export interface Patience {
  /** Resolves when the tenant has been blocked for too long; never, when there is no limit. */
  readonly ended: Promise<'blocked'>;
  /** Every event of the tenant, with the problem as it is known now. */
  take(event: Event, problem: Problem | null): void;
  close(): void;
}

/**
 * Time runs from the first event that says the tenant is blocked, until the step that was in its way is done. A try that
 * is under way when it is up may end: it may be the one that succeeds.
 */
export function createPatience(limitMs: number | undefined): Patience {
  let give: (end: 'blocked') => void = () => {};
  const ended = new Promise<'blocked'>((resolve) => (give = resolve));
  let timer: ReturnType<typeof setTimeout> | undefined;
  let state: 'free' | 'blocked' | 'overdue' = 'free';
  /** The step that runs, by its title. */
  let running = '';

  const free = (): void => {
    clearTimeout(timer);
    state = 'free';
  };
  return {
    ended,
    take(event, problem) {
      if (event.kind === 'tenant.step') {
        const at = event.details['state'];
        if (at === 'done' && running !== '' && running === problem?.step) free();
        running = at === 'started' ? event.message : '';
        return;
      }
      if (event.kind !== 'tenant.blocked' || limitMs === undefined) return;
      running = '';
      if (state === 'overdue') give('blocked');
      if (state !== 'free') return;
      state = 'blocked';
      timer = setTimeout(() => {
        state = 'overdue';
        if (running === '') give('blocked');
      }, limitMs);
    },
    close: () => clearTimeout(timer),
  };
}
