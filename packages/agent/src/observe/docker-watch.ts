import type { Clock, Sleep } from '../system/clock.ts';
import type { System } from '../system/system.ts';
import type { Deaths } from './deaths.ts';

const FIRST_PAUSE_MS = 200;
const LONGEST_PAUSE_MS = 5_000;

/** Only what can change a plan: health checks alone would make thousands of exec events. */
const FILTERS = {
  type: ['container', 'network'],
  event: ['create', 'start', 'kill', 'die', 'oom', 'destroy', 'pause', 'unpause', 'health_status', 'rename'],
};

/** Follows Docker's events until the signal aborts; a daemon that goes away is looked for again, with growing pauses. */
export async function watchDocker(
  deps: { system: System; clock: Clock; sleep: Sleep },
  deaths: Deaths,
  onChange: (why: string) => void,
  signal: AbortSignal,
): Promise<void> {
  const { system, clock, sleep } = deps;
  let pause = FIRST_PAUSE_MS;
  let lastSeen = 0;
  let lost = false;
  while (!signal.aborted) {
    try {
      await system.docker.ping({ signal });
      if (lost) {
        // What happened in between is not all told again, so everything is looked at.
        system.networks.invalidate();
        onChange('docker is back');
        lost = false;
      }
      // Since the last event's second, so that nothing is missed; what was counted already is left out below.
      const sinceSeconds = Math.floor(lastSeen === 0 ? clock.now() / 1_000 : lastSeen / 1e9);
      for await (const event of system.docker.events(FILTERS, { signal, sinceSeconds })) {
        pause = FIRST_PAUSE_MS;
        if (event.at <= lastSeen) continue;
        lastSeen = event.at;
        if (event.type === 'network') system.networks.invalidate();
        const why = deaths.take(event, clock.now());
        if (why !== null) onChange(why);
      }
    } catch {
      // Told below: whatever broke the stream, the daemon has to be found again.
    }
    if (signal.aborted) return;
    if (!lost) onChange('docker went away');
    lost = true;
    await sleep(pause, signal).catch(() => {});
    pause = Math.min(pause * 2, LONGEST_PAUSE_MS);
  }
}
