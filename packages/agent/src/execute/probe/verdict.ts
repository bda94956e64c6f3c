import type { ProbeVerdict } from '@berth/shared/domain/probe';
import { unreachable } from '@berth/shared/domain/errors';
import type { Attempt, AttemptResult, Target } from './attempt.ts';

/** One time that an attempt was made. */
export interface Try {
  result: AttemptResult;
  /** Whether what it aimed at was there, and the same, just before and just after. */
  target: 'there' | 'gone';
}

/** What an attempt came to, after as many tries as it took. */
export interface Outcome {
  verdict: ProbeVerdict;
  /** The result that decided; null where none did, and `why` tells. */
  result: AttemptResult | null;
  why: string | null;
}

export const MOST_TRIES = 3;

type Judged = Pick<Attempt, 'judge' | 'target'>;

/**
 * What all tries together prove. Over the network only what is reached twice is open, and only while what it aimed at is
 * there: an address that leaves the host leads somewhere else. What the kernel lets through once is open.
 */
export function settle(attempt: Judged, tries: readonly Try[]): Outcome {
  const sound = tries
    .filter((each) => each.target === 'there')
    .map(({ result }) => ({ result, verdict: attempt.judge(result) }));
  const all = (verdict: ProbeVerdict) => sound.filter((each) => each.verdict === verdict);
  const open = all('open');
  const [firstOpen] = open;
  if (firstOpen !== undefined && open.length >= (attempt.target === undefined ? 1 : 2))
    return { ...firstOpen, why: null };
  if (firstOpen !== undefined)
    return { verdict: 'untried', result: null, why: 'reached once, and not when it was tried again' };
  const decided = all('held').at(-1) ?? all('note').at(-1) ?? all('broken').at(-1);
  if (decided !== undefined) return { ...decided, why: null };
  if (sound.length === 0 && tries.length > 0 && attempt.target !== undefined) return goneOf(attempt.target);
  return { verdict: 'untried', result: { code: null, output: '' }, why: null };
}

/** Whether another try may tell more. */
export function worthAnother(attempt: Judged, tries: readonly Try[]): boolean {
  if (tries.length >= MOST_TRIES) return false;
  const { verdict } = settle(attempt, tries);
  return verdict === 'untried' || verdict === 'broken' || (verdict === 'note' && tries.length < 2);
}

/** What a link of somebody else's does is nobody's harm: it is told, and proves nothing either way. */
function goneOf(target: Target): Outcome {
  const untried = (why: string): Outcome => ({ verdict: 'untried', result: null, why });
  switch (target.kind) {
    case 'host': {
      const why = `untried: ${target.address} did not stay an address of this host meanwhile`;
      return target.stays === 'passing' ? { verdict: 'note', result: null, why } : untried(why);
    }
    case 'container':
      return untried('untried: the container that it aims at did not run all the time');
    case 'beyond':
      return untried('untried: the machine beyond the host was not there all the time');
    case 'elsewhere':
      return untried('untried');
    default:
      return unreachable(target);
  }
}
