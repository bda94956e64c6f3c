import type { Sleep } from '../system/clock.ts';
import type { System } from '../system/system.ts';

const SETTLE_MS = 100;
const RETRY_MS = 1_000;

/**
 * Looks at the network base when it is told that something changed there, and has it restored. One transaction is many
 * lines of change, and a repair makes some of its own, so they are gathered: at most one look is under way, and what comes
 * meanwhile leads to one more. Our own changes are found to be as they should, and nobody hears of them. A repair that
 * fails is tried again every second.
 */
export function createRepair(
  deps: {
    system: System;
    sleep: Sleep;
    restoreBase: (signal: AbortSignal) => Promise<'whole' | 'restored'>;
  },
  onChange: (why: string) => void,
  signal: AbortSignal,
): () => void {
  let state: 'idle' | 'working' | 'wanted again' = 'idle';

  const work = async (): Promise<void> => {
    do {
      await deps.sleep(SETTLE_MS, signal).catch(() => {});
      if (signal.aborted) break;
      state = 'working';
      try {
        if ((await deps.restoreBase(signal)) === 'restored') {
          deps.system.routes.invalidate();
          onChange('nft rules changed');
        }
      } catch {
        state = 'wanted again';
        onChange('nft rules could not be restored');
        await deps.sleep(RETRY_MS, signal).catch(() => {});
      }
    } while (isWanted() && !signal.aborted);
    state = 'idle';
  };
  const isWanted = (): boolean => state === 'wanted again';

  return () => {
    const idle = state === 'idle';
    state = idle ? 'working' : 'wanted again';
    if (idle) void work();
  };
}
