import type { Sleep } from '../system/clock.ts';
import type { System } from '../system/system.ts';

const SETTLE_MS = 100;
const RETRY_MS = 1_000;

/**
 * Restores the network base when it is told of a loss. One transaction is many lines of loss, and a repair makes some of
 * its own, so they are gathered: at most one repair runs, and what comes meanwhile leads to one more look. A repair that
 * fails is tried again every second.
 */
export function createRepair(
  deps: { system: System; sleep: Sleep; restoreBase: (signal: AbortSignal) => Promise<void> },
  onChange: (why: string) => void,
  signal: AbortSignal,
): (why: string) => void {
  let wanted: string | null = null;
  let running = false;

  const work = async (): Promise<void> => {
    while (wanted !== null && !signal.aborted) {
      const why = wanted;
      await deps.sleep(SETTLE_MS, signal).catch(() => {});
      wanted = null;
      deps.system.routes.invalidate();
      try {
        await deps.restoreBase(signal);
        onChange(why);
      } catch {
        wanted ??= why;
        onChange('nft rules could not be restored');
        await deps.sleep(RETRY_MS, signal).catch(() => {});
      }
    }
    running = false;
  };

  return (why) => {
    wanted = why;
    if (running) return;
    running = true;
    void work();
  };
}
