import { BerthError } from '@berth/shared/domain/errors';
import type { ContainerPlan, StepOf } from '@berth/shared/domain/step';
import type { ExecuteDeps, Note } from '../context.ts';
import { logTailOf, StepFailure } from '../failure.ts';
import { assertSame, inspectOurs } from './ownership.ts';
import { ensureCreated, startOne } from './start.ts';

/** Makes the container of the release command, so that a start can be written down before it happens. */
export async function createRelease(
  deps: ExecuteDeps,
  step: StepOf<'release.create'>,
  signal: AbortSignal,
): Promise<Note> {
  await ensureCreated(deps, step.container, signal);
  return undefined;
}

/**
 * Runs the release command once. Its container is its memory: one that was never started is started, one that runs is
 * waited for, one that ended is believed, so that no interruption makes it run twice. One that is gone was started as far
 * as anybody knows: it is told of and not made anew. The container stays until a later step removes it.
 */
export async function runRelease(
  deps: ExecuteDeps,
  step: StepOf<'release.run'>,
  signal: AbortSignal,
): Promise<Note> {
  const { container: plan } = step;
  const { service } = plan;
  const there = await inspectOurs(deps, step.tenant, { ref: plan.name, service }, signal);
  if (there === null) throw new StepFailure('release_outcome_unknown', unknownSentence(plan), { service });
  assertSame(there, plan);

  const { id } = there;
  let exitCode: number;
  if (there.everStarted && (there.state === 'exited' || there.state === 'dead')) {
    exitCode = there.exitCode;
  } else {
    // Its time began when it was started, whoever waited for it until now.
    let timeoutMs = step.timeoutMs;
    if (there.state !== 'running') await startOne(deps, id, service, signal);
    else timeoutMs -= Math.max(0, deps.clock.now() - Date.parse(there.startedAt));
    exitCode = await waitFor(deps, { id, plan, timeoutMs, limitMs: step.timeoutMs }, signal);
  }
  if (exitCode === 0) return there.everStarted ? 'it had run already' : undefined;
  const found = await inspectOurs(deps, step.tenant, { ref: id, service }, signal);
  // Whoever removes a container by force kills it first: that end says nothing of what the command had done.
  if (exitCode === KILLED && (found === null || found.state === 'removing' || found.state === 'dead'))
    throw new StepFailure('release_outcome_unknown', unknownSentence(plan), { service });
  const why = found?.oomKilled === true ? ' because it ran out of memory' : '';
  throw new StepFailure(
    'release_command_failed',
    `The release command of ${service} ended with exit code ${exitCode}${why}.`,
    { service, logTail: await logTailOf(deps, id, plan.spec.tty, signal) },
  );
}

/** Exit code of a process that was ended by SIGKILL. */
const KILLED = 137;

async function waitFor(
  deps: ExecuteDeps,
  about: { id: string; plan: ContainerPlan; timeoutMs: number; limitMs: number },
  signal: AbortSignal,
): Promise<number> {
  const { docker } = deps.system;
  const { id, plan, timeoutMs, limitMs } = about;
  const { service } = plan;
  try {
    return await docker.waitContainer(id, { signal, timeoutMs: Math.max(1, timeoutMs) });
  } catch (error) {
    if (signal.aborted || !(error instanceof BerthError)) throw error;
    if (error.code === 'not_found')
      throw new StepFailure('release_outcome_unknown', unknownSentence(plan), { service, cause: error });
    if (error.code !== 'timeout') throw error;
    const logTail = await logTailOf(deps, id, false, signal);
    await docker.stopContainer(id, plan.spec.stopGraceMs, { signal });
    throw new StepFailure(
      'release_command_failed',
      `The release command of ${service} did not end within ${Math.round(limitMs / 1000)} s and was stopped.`,
      { service, logTail, cause: error },
    );
  }
}

function unknownSentence({ release, tenant }: ContainerPlan): string {
  return (
    `Whether the release command of release ${release} finished cannot be known: its container is gone, and it is ` +
    `written down nowhere how it ended, so it is not run again by itself. Look at what it changes; then say ` +
    `\`berth tenant release-outcome ${tenant} --succeeded\` when its work is done, or ` +
    `\`berth tenant release-outcome ${tenant} --run-again\` to have it run once more.`
  );
}
