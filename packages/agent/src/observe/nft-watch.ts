import { spawn } from 'node:child_process';
import type { Sleep } from '../system/clock.ts';
import { textLines } from '../system/lines.ts';
import { changeFrom } from '../system/nft-changes.ts';
import type { System } from '../system/system.ts';
import { createRepair } from './repair.ts';

export interface NftWatchDeps {
  system: System;
  sleep: Sleep;
  /** Puts back what someone took away or added; called when anything but a route changed, also by ourselves. */
  restoreBase: (signal: AbortSignal) => Promise<'whole' | 'restored'>;
}

const FIRST_PAUSE_MS = 200;
const LONGEST_PAUSE_MS = 5_000;
/** Whatever the monitor may have missed, and other name servers of the host, are found this soon. */
const LOOK_MS = 300_000;

/** Follows `nft monitor` until the signal aborts; a monitor that ends is started again. */
export async function watchNft(
  deps: NftWatchDeps,
  onChange: (why: string) => void,
  signal: AbortSignal,
): Promise<void> {
  const { system, sleep } = deps;
  const repair = createRepair(deps, onChange, signal);
  void lookNowAndThen(repair, sleep, signal);
  let pause = FIRST_PAUSE_MS;
  let first = true;
  while (!signal.aborted) {
    const child = spawn('nft', ['monitor'], { stdio: ['ignore', 'pipe', 'ignore'] });
    const stop = (): void => {
      child.kill('SIGKILL');
    };
    signal.addEventListener('abort', stop, { once: true });
    const ended = new Promise<void>((resolve) => {
      child.on('error', () => resolve());
      child.on('close', () => resolve());
    });
    // Between two monitors anything may have happened.
    if (!first) {
      onChange('nft is watched again');
      repair();
    }
    first = false;
    try {
      for await (const line of textLines(child.stdout)) {
        const change = changeFrom(system.nft.table, line);
        if (change === null) continue;
        pause = FIRST_PAUSE_MS;
        if (change.kind === 'static') repair();
        else if (!system.routes.agrees(change)) {
          system.routes.invalidate();
          onChange('routes changed');
        }
      }
    } catch {
      // The monitor's end is handled below.
    } finally {
      signal.removeEventListener('abort', stop);
      stop();
      await ended;
    }
    if (signal.aborted) return;
    await sleep(pause, signal).catch(() => {});
    pause = Math.min(pause * 2, LONGEST_PAUSE_MS);
  }
}

async function lookNowAndThen(look: () => void, sleep: Sleep, signal: AbortSignal): Promise<void> {
  for (;;) {
    await sleep(LOOK_MS, signal).catch(() => {});
    if (signal.aborted) return;
    look();
  }
}
