import type { ProbeRow, ProbeVerdict } from '@berth/shared/domain/probe';
import type { Attempt } from './attempt.ts';
import { settle, type Outcome } from './verdict.ts';
import { wordsOf } from './words.ts';

const WORST: readonly ProbeVerdict[] = ['open', 'broken', 'untried', 'note', 'held'];

/** One row for each attempt, or for each group of them. */
export function rowsOf(attempts: readonly Attempt[], outcomes: ReadonlyMap<string, Outcome>): ProbeRow[] {
  const rows = new Map<string, { row: ProbeRow; seen: Map<string, string[]> }>();
  for (const attempt of attempts) {
    const { verdict, result, why } = outcomes.get(attempt.id) ?? settle(attempt, []);
    const title = titleOf(attempt, verdict);
    const key = title ?? attempt.id;
    const known = rows.get(key) ?? {
      row: {
        area: attempt.area,
        tried: (title ?? attempt.tried).slice(0, 200),
        expected: attempt.expected,
        seen: '',
        verdict,
      },
      seen: new Map<string, string[]>(),
    };
    if (WORST.indexOf(verdict) < WORST.indexOf(known.row.verdict)) known.row.verdict = verdict;
    const words = why ?? wordsOf(attempt, result ?? { code: null, output: '' }, verdict);
    const name = verdict === 'held' || verdict === 'note' ? '' : attempt.tried;
    known.seen.set(words, [...(known.seen.get(words) ?? []), name]);
    rows.set(key, known);
  }
  return [...rows.values()].map(({ row, seen }) => ({ ...row, seen: joined(seen).slice(0, 500) }));
}

/** Of a row that several attempts share: a group, or all that aimed at an address which did not stay. */
function titleOf({ group, target }: Attempt, verdict: ProbeVerdict): string | undefined {
  if (verdict === 'note' && target?.kind === 'host') return `the host ${target.address}, which came or went`;
  return group;
}

/** What was seen, most first; what did not hold is named. */
function joined(seen: ReadonlyMap<string, readonly string[]>): string {
  return [...seen]
    .sort(([, a], [, b]) => b.length - a.length)
    .map(([words, of]) => {
      const named = of.filter((each) => each !== '');
      if (seen.size === 1 && (of.length === 1 || words.startsWith('untried'))) return words;
      return named.length === 0 ? `${of.length}× ${words}` : `${words}: ${named.slice(0, 5).join(', ')}`;
    })
    .join('; ');
}
