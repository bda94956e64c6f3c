import type { ApiClient } from '@berth/shared/api/client';
import type { Rollout } from '@berth/shared/api/rollouts';
import { BerthError } from '@berth/shared/domain/errors';
import { isOver } from '@berth/shared/domain/rollout';
import { parseCount } from './parse.ts';

/** More than are ever queued behind one. */
const AMONG = 50;

/**
 * The rollout that was named: by its number, or as that of an app: the one under way, else the newest. Errors: BerthError
 * `not_found`.
 */
export async function rolloutOf(api: ApiClient, named: string, signal: AbortSignal): Promise<Rollout> {
  const show = (rollout: number): Promise<Rollout> => api.showRollout({ params: { rollout } }, signal);
  if (/^\d+$/.test(named)) return show(parseCount(named, 'The rollout'));
  const { items } = await api.listRollouts({ query: { app: named, limit: AMONG } }, signal);
  // One that is queued behind it is newer, and not what is meant.
  const goesOn = items.findLast((one) => !isOver(one.state));
  const meant = goesOn ?? items[0];
  if (meant === undefined) await requireApp(api, named, signal);
  if (meant === undefined)
    throw new BerthError(
      'not_found',
      `The app ${named} has no rollout yet. Start one: "berth rollout start ${named} --to RELEASE".`,
    );
  // A list leaves out what holds it and how its requests fare.
  return show(meant.rollout);
}

/** Errors: BerthError `not_found`, which says that there is no such app. */
export async function requireApp(api: ApiClient, app: string, signal: AbortSignal): Promise<void> {
  await api.showApp({ params: { app } }, signal);
}
