import { advance } from './advance.ts';
import { fold } from './fold.ts';
import type { Decision, Facts, Rollout } from './types.ts';

/**
 * What `advance` decides and, where that only takes down what agents have said, who begins because of it: both go on
 * record together, which is half as many transactions while tenants follow one another. Anything else that follows is
 * decided when this is on record.
 */
export function decide(rollout: Rollout, facts: Facts, now: number): Decision[] {
  const told = advance(rollout, facts, now);
  if (told.length === 0 || !told.every((each) => each.kind === 'progress')) return told;
  const next = advance(fold(rollout, told, NOTHING_BEGUN), facts, now);
  return next.every((each) => each.kind === 'begin') ? [...told, ...next] : told;
}

const NOTHING_BEGUN = { progress: () => null, before: () => null };
