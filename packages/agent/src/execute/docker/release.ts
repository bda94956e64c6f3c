import { BerthError } from '@berth/shared/domain/errors';
import type { StepOf } from '@berth/shared/domain/step';
import type { ExecuteDeps, Note } from '../context.ts';
import { logTailOf, StepFailure } from '../failure.ts';
import { assertSame, inspectOurs } from './ownership.ts';
import { ensureCreated, startOne } from './start.ts';

/**
 * Runs the release command once. Its container is its memory: one that runs is waited for, one that ended is believed,
 * so that no interruption makes it run twice. It stays until a later step removes it.
 */
export async function runRelease(
  deps: ExecuteDeps,
  step: StepOf<'release.run'>,
  signal: AbortSignal,
): Promise<Note> {
  const { container: plan, timeoutMs } = step;
  const { service } = plan;
  const there = await inspectOurs(deps, step.tenant, { ref: plan.name, service }, signal);
  if (there !== null) assertSame(there, plan);

  let id = there?.id;
  let exitCode: number | null = null;
  if (there !== null && there.everStarted && (there.state === 'exited' || there.state === 'dead')) {
    exitCode = there.exitCode;
  } else {
    id = there?.id ?? (await ensureCreated(deps, plan, signal));
    if (there?.state !== 'running') await startOne(deps, id, service, signal);
    exitCode = await waitFor(deps, { id, service, timeoutMs, graceMs: plan.spec.stopGraceMs }, signal);
  }
  if (exitCode === 0) return there === null ? undefined : 'it had run already';
  const found = await inspectOurs(deps, step.tenant, { ref: id ?? plan.name, service }, signal);
  const why = found?.oomKilled === true ? ' because it ran out of memory' : '';
  throw new StepFailure(
    'release_command_failed',
    `The release command of ${service} ended with exit code ${exitCode}${why}.`,
    { service, logTail: await logTailOf(deps, id ?? plan.name, plan.spec.tty, signal) },
  );
}

async function waitFor(
  deps: ExecuteDeps,
  about: { id: string; service: string; timeoutMs: number; graceMs: number },
  signal: AbortSignal,
): Promise<number> {
  const { docker } = deps.system;
  const { id, service, timeoutMs } = about;
  try {
    return await docker.waitContainer(id, { signal, timeoutMs });
  } catch (error) {
    if (signal.aborted || !(error instanceof BerthError)) throw error;
    if (error.code === 'not_found')
      throw new StepFailure(
        'release_command_failed',
        `The container of ${service}'s release command was removed while it ran; whether the command finished is not known.`,
        { service, cause: error },
      );
    if (error.code !== 'timeout') throw error;
    const logTail = await logTailOf(deps, id, false, signal);
    await docker.stopContainer(id, about.graceMs, { signal });
    throw new StepFailure(
      'release_command_failed',
      `The release command of ${service} did not end within ${Math.round(timeoutMs / 1000)} s and was stopped.`,
      { service, logTail, cause: error },
    );
  }
}
