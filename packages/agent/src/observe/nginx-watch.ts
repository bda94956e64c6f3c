import type { Sleep } from '../system/clock.ts';
import type { System } from '../system/system.ts';

const LOOK_EVERY_MS = 1_000;

/** Looks each second whether Nginx's master is there; a look costs one system call. */
export async function watchNginx(
  deps: { system: System; sleep: Sleep },
  onChange: (why: string) => void,
  signal: AbortSignal,
): Promise<void> {
  const { system, sleep } = deps;
  // A file that cannot be read for a moment must not end the watch.
  const look = (): Promise<number | null> => system.nginx.alive().catch(() => null);
  let before = await look();
  while (!signal.aborted) {
    await sleep(LOOK_EVERY_MS, signal).catch(() => {});
    if (signal.aborted) return;
    const now = await look();
    if (now !== before) onChange(now === null ? 'nginx went away' : 'nginx is another process');
    before = now;
  }
}
