import type { TenantHistoryShown } from './rollouts.ts';

/**
 * The release that a tenant had before the one it has; null when none is known. Releases that it has gone back from are
 * no past: nobody goes back from a return to what was returned from. `history` comes newest first.
 */
export function previousRelease(
  history: readonly Pick<TenantHistoryShown, 'what' | 'release'>[],
  current: number,
): number | null {
  const stack: number[] = [];
  const arrive = (release: number): void => {
    if (stack.at(-1) !== release) stack.push(release);
  };
  for (const { what, release } of history.toReversed()) {
    switch (what) {
      case 'failed':
        break;
      case 'returned':
      case 'rolled-back':
      case 'returning':
        while (stack.length > 0 && stack.at(-1) !== release) stack.pop();
        arrive(release);
        break;
      case 'created':
      case 'changed':
      case 'restarted':
      case 'moved':
        arrive(release);
        break;
    }
  }
  arrive(current);
  return stack.at(-2) ?? null;
}
