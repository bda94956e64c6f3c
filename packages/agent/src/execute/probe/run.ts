import { BerthError } from '@berth/shared/domain/errors';
import type { ExecuteDeps } from '../context.ts';
import { programsOf, type Attempt, type AttemptResult, type Program } from './attempt.ts';
import { slower, type Pace } from './pace.ts';
import { NOTHING } from './program.ts';
import { stood, type Standing } from './standing.ts';
import { resultIn } from './sweep.ts';
import { settle, worthAnother, type Outcome, type Try } from './verdict.ts';
import { KILLED_BY_SECCOMP } from './words.ts';

/** Docker's answer is cut at 8 KiB. */
const MOST_OUTPUT = 7_000;
/** A name, a code, and one line of output. */
const LINE = 120;
/** At the same time; those that did not end would wait for each other again. */
const TOGETHER = 16;
const TOGETHER_AGAIN = 4;
const BETWEEN_MS = 300;

/** What runs programs in a container; Docker, as far as it is needed here. */
export interface Runs {
  system: { docker: Pick<ExecuteDeps['system']['docker'], 'exec'> };
  sleep: ExecuteDeps['sleep'];
}

export interface Conditions {
  containers: Record<Program['who'], string>;
  pace: Pace;
  look: () => Promise<Standing>;
  /** Whether there is time left to try again. */
  hasTime: () => boolean;
}

/**
 * Runs the attempts' programs in their containers, and again those of attempts that are not decided yet: what did not end
 * because its turn did not come, what must work and did not, what was reached, and what aimed at something that went away.
 */
export async function runAttempts(
  deps: Runs,
  attempts: readonly Attempt[],
  conditions: Conditions,
  signal: AbortSignal,
): Promise<Map<string, Outcome>> {
  const tries = new Map<string, Try[]>(attempts.map((each) => [each.id, []]));
  const undecided = (): Attempt[] => attempts.filter((each) => worthAnother(each, tries.get(each.id) ?? []));
  for (let round = 0; round === 0 || conditions.hasTime(); round += 1) {
    const left = undecided();
    if (left.length === 0) break;
    if (round > 0) await deps.sleep(BETWEEN_MS, signal);
    const pace = round === 0 ? conditions.pace : slower(conditions.pace);
    const together = round === 0 ? TOGETHER : TOGETHER_AGAIN;
    let before = await conditions.look();
    for (const { who, programs } of partsOf(programsOf(left))) {
      const results = await run(deps, conditions.containers[who], programs, pace, together, signal);
      const after = await conditions.look();
      for (const attempt of left) {
        if (!programs.includes(attempt.program)) continue;
        const target = stood(attempt.target, before, after);
        tries.get(attempt.id)?.push({ result: resultOf(attempt, results), target });
      }
      before = after;
    }
  }
  return new Map(attempts.map((each) => [each.id, settle(each, tries.get(each.id) ?? [])]));
}

/** So many at once that what they write fits into one answer. */
function partsOf(programs: readonly Program[]): { who: Program['who']; programs: Program[] }[] {
  const parts: { who: Program['who']; programs: Program[]; size: number }[] = [];
  for (const program of programs) {
    const size = LINE + outputOf(program);
    let part = parts.findLast((each) => each.who === program.who);
    if (part === undefined || part.size + size > MOST_OUTPUT) {
      part = { who: program.who, programs: [], size: 0 };
      parts.push(part);
    }
    part.programs.push(program);
    part.size += size;
  }
  return parts;
}

/** Hexadecimal digits, and a blank for each thirty bytes. */
function outputOf({ calls }: Program): number {
  const last = calls.at(-1);
  const bytes = last?.name === 'write' ? last.args[2] : 0;
  return Math.ceil((typeof bytes === 'number' ? bytes : 512) * 2.1);
}

async function run(
  deps: Runs,
  container: string,
  programs: readonly Program[],
  pace: Pace,
  together: number,
  signal: AbortSignal,
): Promise<Map<string, AttemptResult>> {
  const results = new Map<string, AttemptResult>();
  const names = new Map(programs.map((each) => [fileOf(each, pace.answers), each.id]));
  const argv = ['/probe/run', String(pace.limitS), String(together), ...names.keys()];
  // Even if every single one took all of its time.
  const timeoutMs = 1000 * (30 + pace.limitS * Math.ceil(programs.length / together));
  try {
    const { output } = await deps.system.docker.exec(container, argv, { signal, timeoutMs });
    for (const match of output.matchAll(/^(\S+) (\d+)([0-9a-f ]*)$/gm)) {
      const id = names.get(match[1] ?? '');
      if (id !== undefined)
        results.set(id, { code: Number(match[2]), output: (match[3] ?? '').replaceAll(' ', '') });
    }
  } catch (thrown) {
    // As if none of them had ended.
    if (!(thrown instanceof BerthError) || thrown.code !== 'timeout' || signal.aborted) throw thrown;
  }
  return results;
}

/** The file of a program's form in the image. */
export function fileOf({ id, patient }: Program, answers: Pace['answers']): string {
  return answers === 'patient' && patient !== undefined ? `${id}.patient` : id;
}

function resultOf(attempt: Attempt, results: ReadonlyMap<string, AttemptResult>): AttemptResult {
  const result = results.get(attempt.program.id) ?? { code: null, output: '' };
  if (attempt.results !== undefined) return resultIn(result, attempt.results);
  const { code } = result;
  // Killed by the time limit or by its own fault: nothing was learnt.
  const lost = code !== null && code > 128 && code !== NOTHING && code !== KILLED_BY_SECCOMP;
  return { ...result, code: lost ? null : code };
}
