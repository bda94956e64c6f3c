import type { ProbeRow, ProbeVerdict } from '@berth/shared/domain/probe';
import type { ExecuteDeps } from '../context.ts';
import { seenOf, type Attempt, type AttemptResult } from './attempts.ts';
import { NOTHING } from './program.ts';

/** An answer is cut at 8 KiB, and a line of it is at most 80 bytes. */
const AT_ONCE = 80;

/** Of those that did not end, this many are tried once more. Many at once would again have to wait for each other. */
const AGAIN_AT_MOST = 16;

/** What runs programs in a container; Docker, as far as it is needed here. */
export interface Runs {
  system: { docker: Pick<ExecuteDeps['system']['docker'], 'exec'> };
}

/**
 * Runs the attempts' programs in their containers. What is missing from the answer did not end: on a busy host the time of
 * one may pass before it had its turn, so it is tried a second time.
 */
export async function runAttempts(
  deps: Runs,
  containers: Record<Attempt['who'], string>,
  attempts: readonly Attempt[],
  signal: AbortSignal,
): Promise<Map<string, AttemptResult>> {
  const results = new Map<string, AttemptResult>();
  for (const who of ['root', 'nobody'] as const) {
    const ids = attempts.filter((each) => each.who === who).map((each) => each.id);
    const tryThese = async (some: readonly string[]): Promise<void> => {
      const { output } = await deps.system.docker.exec(containers[who], ['/probe/run', ...some], { signal });
      for (const match of output.matchAll(/^(\S+) (\d+) ?([0-9a-f]*)$/gm))
        results.set(match[1] ?? '', resultOf(Number(match[2]), match[3] ?? ''));
    };
    for (let at = 0; at < ids.length; at += AT_ONCE) await tryThese(ids.slice(at, at + AT_ONCE));
    const lost = ids.filter((id) => (results.get(id)?.code ?? null) === null).slice(0, AGAIN_AT_MOST);
    if (lost.length > 0) await tryThese(lost);
  }
  return results;
}

function resultOf(code: number, output: string): AttemptResult {
  // Killed by the time limit or by its own fault: nothing was learnt.
  const lost = code > 128 && code !== NOTHING && code !== 159;
  return { code: lost ? null : code, output };
}

const WORST: readonly ProbeVerdict[] = ['open', 'broken', 'untried', 'note', 'held'];

/** One row for each attempt, or for each group of them. */
export function rowsOf(
  attempts: readonly Attempt[],
  results: ReadonlyMap<string, AttemptResult>,
): ProbeRow[] {
  const rows = new Map<string, { row: ProbeRow; seen: Map<string, string[]> }>();
  for (const attempt of attempts) {
    const result = results.get(attempt.id) ?? { code: null, output: '' };
    const verdict = attempt.judge(result);
    const key = attempt.group ?? attempt.id;
    const known = rows.get(key) ?? {
      row: {
        area: attempt.area,
        tried: (attempt.group ?? attempt.tried).slice(0, 200),
        expected: attempt.expected,
        seen: '',
        verdict,
      },
      seen: new Map<string, string[]>(),
    };
    if (WORST.indexOf(verdict) < WORST.indexOf(known.row.verdict)) known.row.verdict = verdict;
    const words = wordsOf(attempt, result, verdict);
    known.seen.set(words, [...(known.seen.get(words) ?? []), verdict === 'held' ? '' : attempt.tried]);
    rows.set(key, known);
  }
  return [...rows.values()].map(({ row, seen }) => ({ ...row, seen: joined(seen).slice(0, 500) }));
}

function wordsOf(attempt: Attempt, result: AttemptResult, verdict: ProbeVerdict): string {
  if (attempt.calls.at(-1)?.name === 'write') return lookedUp(result, verdict);
  return seenOf(result);
}

function lookedUp({ code, output }: AttemptResult, verdict: ProbeVerdict): string {
  if (code !== 0 || output.length < 24) return 'no answer';
  const rcode = parseInt(output.slice(7, 8), 16);
  const count = parseInt(output.slice(12, 16), 16);
  if (count > 0) return 'an address';
  const words = { 0: 'no address', 2: 'the resolver failed (SERVFAIL)', 3: 'no such name', 5: 'refused' }[
    rcode
  ];
  const host = verdict === 'open' ? '; the host’s daemon asked for it: its name server is on loopback' : '';
  return `${words ?? `answer ${rcode}`}${host}`;
}

/** What was seen, most first; what did not hold is named. */
function joined(seen: ReadonlyMap<string, readonly string[]>): string {
  return [...seen]
    .sort(([, a], [, b]) => b.length - a.length)
    .map(([words, of]) => {
      const named = of.filter((each) => each !== '');
      if (seen.size === 1 && of.length === 1) return words;
      return named.length === 0 ? `${of.length}× ${words}` : `${words}: ${named.slice(0, 5).join(', ')}`;
    })
    .join('; ');
}
