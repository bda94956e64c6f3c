import { BerthError } from '@berth/shared/domain/errors';
import type { ProbeRow } from '@berth/shared/domain/probe';
import type { ExecuteDeps } from '../context.ts';
import type { Pace } from './pace.ts';

/** Docker, as far as the hogs need it. */
export interface HogDeps {
  system: { docker: Pick<ExecuteDeps['system']['docker'], 'exec'> };
}

/** How the other tenant does. `slow host`: the hog's own tenant does not answer either, so nothing can be said of it. */
export type Neighbour = 'answers' | 'silent' | 'slow host';

export interface HogParts {
  hog: string;
  neighbour: () => Promise<Neighbour>;
  pace: Pace;
}

/** What does not end in its time has told nothing; that is no reason to give up the rest. */
async function run(
  { system: { docker } }: HogDeps,
  hog: string,
  argv: readonly string[],
  limitS: number,
  signal: AbortSignal,
): Promise<{ exitCode: number; output: string }> {
  try {
    return await docker.exec(hog, argv, { signal, timeoutMs: 1000 * (limitS + 15) });
  } catch (thrown) {
    if (!(thrown instanceof BerthError) || thrown.code !== 'timeout' || signal.aborted) throw thrown;
    return { exitCode: -1, output: '' };
  }
}

const WORDS: Readonly<Record<Neighbour, string>> = {
  answers: 'others answer',
  silent: 'others do not answer',
  'slow host': 'nobody answers in time: the host is too busy to tell',
};

/** As many processes as it can get, in a container that may have 64. */
export async function forksRow(deps: HogDeps, parts: HogParts, signal: AbortSignal): Promise<ProbeRow> {
  const { hog, neighbour, pace } = parts;
  let started = Number.NaN;
  for (const limitS of [2 * pace.limitS, 3 * pace.limitS]) {
    const argv = ['timeout', '-s', 'KILL', String(limitS), '/probe/forks'];
    const { output } = await run(deps, hog, argv, limitS, signal);
    started = Number(/started (\d+)/.exec(output)?.[1] ?? Number.NaN);
    if (!Number.isNaN(started)) break;
    // What the first bomb left has all the places.
    await run(deps, hog, ['sh', '-c', 'kill -9 -1'], pace.limitS, signal);
  }
  const others = await neighbour();
  const bounded = started > 0 && started < 64;
  const told = Number.isNaN(started) ? 'it told nothing' : `${started} started`;
  return {
    area: 'limits',
    tried: 'a fork bomb, of 400 processes',
    expected: 'stopped at the limit of 64, others unharmed',
    seen: `${told}, ${WORDS[others]}`,
    verdict: hogVerdict(Number.isNaN(started) ? 'unknown' : bounded ? 'bounded' : 'unbounded', others),
  };
}

/** 160 MiB in a container that may have 64. */
export async function memoryRow(deps: HogDeps, parts: HogParts, signal: AbortSignal): Promise<ProbeRow> {
  let end = '';
  for (let tries = 0; tries < 2 && end === ''; tries += 1) {
    const { output, exitCode } = await run(deps, parts.hog, ['/probe/memory'], 2 * parts.pace.limitS, signal);
    end = exitCode === 137 ? '137' : (/ended (\d+)/.exec(output)?.[1] ?? '');
  }
  const others = await parts.neighbour();
  const said = end === '137' ? 'killed' : end === '0' ? 'it got all of it' : `ended with ${end || 'nothing'}`;
  return {
    area: 'limits',
    tried: 'taking 160 MiB of memory',
    expected: 'killed at the limit of 64 MiB, others unharmed',
    seen: `${said}, ${WORDS[others]}`,
    verdict: hogVerdict(end === '137' ? 'bounded' : end === '0' ? 'unbounded' : 'unknown', others),
  };
}

/** A hog that is not bounded, or that harms others, is open; what cannot be told proves nothing. */
export function hogVerdict(
  hog: 'bounded' | 'unbounded' | 'unknown',
  neighbour: Neighbour,
): ProbeRow['verdict'] {
  if (hog === 'unbounded' || neighbour === 'silent') return 'open';
  return hog === 'unknown' || neighbour === 'slow host' ? 'untried' : 'held';
}

/** 64 MiB into a tmpfs of 16. */
export async function diskRow(
  deps: HogDeps,
  { hog, pace }: Pick<HogParts, 'hog' | 'pace'>,
  signal: AbortSignal,
): Promise<ProbeRow> {
  let match: RegExpExecArray | null = null;
  for (let tries = 0; tries < 2 && match === null; tries += 1) {
    const { output } = await run(deps, hog, ['/probe/disk'], 2 * pace.limitS, signal);
    match = /ended (\d+) size (\d+)/.exec(output);
  }
  const size = Number(match?.[2] ?? Number.NaN);
  const bounded = match?.[1] !== '0' && size <= 16 * 1024 * 1024;
  return {
    area: 'limits',
    tried: 'writing 64 MiB to /tmp',
    expected: 'ends at its size of 16 MiB',
    seen: match === null ? 'it told nothing' : `${Math.round(size / 1024 / 1024)} MiB were written`,
    verdict: match === null ? 'untried' : bounded ? 'held' : 'open',
  };
}

/** What no rule of Berth bounds, said as plainly as the rest. */
export function unboundRows(): ProbeRow[] {
  const note = (tried: string, seen: string): ProbeRow => ({
    area: 'limits',
    tried,
    expected: 'not bounded',
    seen,
    verdict: 'note',
  });
  return [
    note('filling a volume', 'volumes have no quota: a tenant with one can fill the disk that it lies on'),
    note(
      'filling the root file system with profile writable or compatible',
      'it has no quota either; with the default profile it is read-only',
    ),
    note('the kernel itself', 'tenants of one host share it; --dedicated gives one a host of its own'),
  ];
}
