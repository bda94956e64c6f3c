import { spawn } from 'node:child_process';
import type { Sleep } from '../system/clock.ts';
import { textLines } from '../system/docker-streams.ts';
import { changeFrom } from '../system/nft-changes.ts';
import type { System } from '../system/system.ts';

export interface NftWatchDeps {
  system: System;
  sleep: Sleep;
  /** Puts back what someone took away; called when chains, rules or the table itself changed. */
  restoreBase: (signal: AbortSignal) => Promise<void>;
}

const SETTLE_MS = 100;

/** Follows `nft monitor` until the signal aborts; a monitor that ends is started again. */
export async function watchNft(
  deps: NftWatchDeps,
  onChange: (why: string) => void,
  signal: AbortSignal,
): Promise<void> {
  const { system, sleep } = deps;
  let pause = 200;
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
    try {
      // Between two monitors anything may have happened.
      if (!first) await lookAgain(deps, 'nft is watched again', onChange, signal);
      first = false;
      for await (const line of textLines(child.stdout)) {
        const change = changeFrom(system.nft.table, line);
        if (change === null) continue;
        pause = 200;
        if (change.kind === 'element') {
          if (system.routes.agrees(change)) continue;
          system.routes.invalidate();
          onChange('routes changed');
        } else if (change.kind === 'loss') {
          // The rest of the transaction is printed right after; one repair is enough for all of it.
          system.routes.invalidate();
          await sleep(SETTLE_MS, signal);
          await lookAgain(deps, 'nft rules changed', onChange, signal);
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
    pause = Math.min(pause * 2, 5_000);
  }
}

async function lookAgain(
  deps: NftWatchDeps,
  why: string,
  onChange: (why: string) => void,
  signal: AbortSignal,
): Promise<void> {
  deps.system.routes.invalidate();
  // A repair that fails is tried again by the next sweep's steps; what must not happen is to go unnoticed.
  await deps.restoreBase(signal).catch(() => {});
  onChange(why);
}
