import type { StepOf } from '@berth/shared/domain/step';
import type { ExecuteDeps, Note } from '../context.ts';

/**
 * Nginx lets go of its pooled connections a second after a switch; looking much more often finds nothing new. All drains
 * look at the same moments, the first time too, so that one listing serves a wave of them.
 */
const POLL_MS = 400;

/** Waits until no open connection ends at one of the addresses, or until the time is up; neither is a failure. */
export async function drain(deps: ExecuteDeps, step: StepOf<'drain'>, signal: AbortSignal): Promise<Note> {
  const { clock, sleep, system } = deps;
  const began = clock.now();
  for (;;) {
    const left = Math.max(1, step.timeoutMs - (clock.now() - began));
    await sleep(Math.min(POLL_MS - (clock.now() % POLL_MS), left), signal);
    const lookedAt = clock.now();
    const counts = await system.connections.open();
    signal.throwIfAborted();
    const open = step.addresses.reduce((sum, address) => sum + (counts.get(address) ?? 0), 0);
    const waited = clock.now() - began;
    if (open === 0) {
      deps.drained?.(step.tenant, lookedAt);
      return `no open connection after ${waited} ms`;
    }
    if (waited >= step.timeoutMs)
      return `${open} connection${open === 1 ? ' was' : 's were'} still open after ${waited} ms`;
  }
}
