import type { ApiClient } from '@berth/shared/api/client';
import type { Rollout } from '@berth/shared/api/rollouts';
import { BerthError } from '@berth/shared/domain/errors';
import { parseCount } from './parse.ts';

/** The rollout that was named: by its number, or as the newest of an app. Errors: BerthError `not_found`. */
export async function rolloutOf(api: ApiClient, named: string, signal: AbortSignal): Promise<Rollout> {
  const show = (rollout: number): Promise<Rollout> => api.showRollout({ params: { rollout } }, signal);
  if (/^\d+$/.test(named)) return show(parseCount(named, 'The rollout'));
  const { items } = await api.listRollouts({ query: { app: named, limit: 1 } }, signal);
  const newest = items[0];
  if (newest === undefined)
    throw new BerthError(
      'not_found',
      `The app ${named} has no rollout yet. Start one: "berth rollout start ${named} --to RELEASE".`,
    );
  // A list leaves out what holds it and how its requests fare.
  return show(newest.rollout);
}
