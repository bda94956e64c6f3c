import type { ProbeRow } from '@berth/shared/domain/probe';
import type { ExecuteDeps } from '../context.ts';

/** As many processes as it can get, in a container that may have 64. */
export async function forksRow(
  deps: ExecuteDeps,
  hog: string,
  unharmed: () => Promise<boolean>,
  signal: AbortSignal,
): Promise<ProbeRow> {
  const { output } = await deps.system.docker.exec(hog, ['timeout', '-s', 'KILL', '8', '/probe/forks'], {
    signal,
  });
  const started = Number(/started (\d+)/.exec(output)?.[1] ?? Number.NaN);
  const others = await unharmed();
  const bounded = started > 0 && started < 64;
  return {
    area: 'limits',
    tried: 'a fork bomb, of 400 processes',
    expected: 'stopped at the limit of 64, others unharmed',
    seen: `${Number.isNaN(started) ? 'it told nothing' : `${started} started`}, others ${others ? 'answer' : 'do not answer'}`,
    verdict: Number.isNaN(started) ? 'untried' : bounded && others ? 'held' : 'open',
  };
}

/** 160 MiB in a container that may have 64. */
export async function memoryRow(
  deps: ExecuteDeps,
  hog: string,
  unharmed: () => Promise<boolean>,
  signal: AbortSignal,
): Promise<ProbeRow> {
  const { output, exitCode } = await deps.system.docker.exec(hog, ['/probe/memory'], { signal });
  const ended = /ended (\d+)/.exec(output)?.[1];
  const others = await unharmed();
  const killed = ended === '137' || exitCode === 137;
  return {
    area: 'limits',
    tried: 'taking 160 MiB of memory',
    expected: 'killed at the limit of 64 MiB, others unharmed',
    seen: `${killed ? 'killed' : ended === '0' ? 'it got all of it' : `ended with ${ended ?? exitCode}`}, others ${others ? 'answer' : 'do not answer'}`,
    verdict: !others || ended === '0' ? 'open' : killed ? 'held' : 'untried',
  };
}

/** 64 MiB into a tmpfs of 16. */
export async function diskRow(deps: ExecuteDeps, hog: string, signal: AbortSignal): Promise<ProbeRow> {
  const { output } = await deps.system.docker.exec(hog, ['/probe/disk'], { signal });
  const match = /ended (\d+) size (\d+)/.exec(output);
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
