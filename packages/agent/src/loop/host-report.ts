import { messageOf } from '@berth/shared/domain/errors';
import type { ObservedHost } from '@berth/shared/domain/observed';
import type { Clock, Observer, Reports } from './ports.ts';
import type { Log, Voice } from './voice.ts';

const EVERY_MS = 30_000;

/** Tells the host's numbers now and then, for they move all the time, and at once when something is up or down. */
export function createHostReport(deps: {
  observer: Observer;
  reports: Reports;
  clock: Clock;
  voice: Voice;
  log: Log;
}): (seen: ObservedHost | null, orphans: readonly string[], signal: AbortSignal) => Promise<void> {
  const { observer, reports, clock, voice, log } = deps;
  let said = { key: '', at: 0 };
  return async (seen, orphans, signal) => {
    const key = `${voice.dockerState()} ${seen?.sites === null ? 'down' : 'up'} ${orphans.join(' ')}`;
    if (key === said.key && clock.now() - said.at < EVERY_MS) return;
    said = { key, at: clock.now() };
    try {
      const about = await observer.host(signal);
      const containers = seen?.containers.length ?? 0;
      reports.host({ ...about, containers, docker: voice.dockerState(), orphans: orphans.slice(0, 1000) });
    } catch (thrown) {
      if (!signal.aborted) log.warn({ err: messageOf(thrown) }, 'the host’s own numbers could not be read');
    }
  };
}
