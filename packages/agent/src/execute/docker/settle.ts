import type { ContainerRef, StepOf } from '@berth/shared/domain/step';
import { redact, secretsOf } from '../../system/redact.ts';
import type { ExecuteDeps, Note } from '../context.ts';
import { forAll, logTailOf, StepFailure } from '../failure.ts';
import { argvOf, lookByExec } from './health.ts';
import { inspectOurs } from './ownership.ts';

/** Waits until existing containers run and, where Docker knows a health check, pass it. */
export async function settleContainers(
  deps: ExecuteDeps,
  step: StepOf<'containers.settle'>,
  signal: AbortSignal,
): Promise<Note> {
  await forAll(step.containers, (ref) => settleOne(deps, step, ref, signal));
  return undefined;
}

async function settleOne(
  deps: ExecuteDeps,
  step: StepOf<'containers.settle'>,
  ref: ContainerRef,
  signal: AbortSignal,
): Promise<void> {
  const { clock, sleep } = deps;
  const deadline = clock.now() + step.timeoutMs;
  let pause = 50;
  let words = 'it does not run';
  for (;;) {
    const found = await inspectOurs(deps, step.tenant, { ref: ref.id, service: ref.service }, signal);
    if (found === null)
      throw new StepFailure('container_failed', `The container ${ref.name} is gone.`, {
        service: ref.service,
      });
    if (found.state === 'running') {
      // Our own look instead of Docker's verdict, which comes only once per interval.
      const argv = found.healthTest === null ? null : argvOf(found.healthTest);
      if (argv === null || found.health === 'healthy') return;
      const timeoutMs = found.healthTimeoutMs > 0 ? found.healthTimeoutMs : 30_000;
      const look = await lookByExec(deps, ref.id, argv, timeoutMs, signal);
      if (look.healthy) return;
      words = redact(look.words, secretsOf(found.environment));
    } else {
      words = `it is ${found.state} (exit code ${found.exitCode})`;
    }
    if (clock.now() >= deadline) {
      throw new StepFailure(
        'health_failed',
        `${ref.service} did not come back within ${Math.round(step.timeoutMs / 1000)} s: ${words}.`,
        { service: ref.service, logTail: await logTailOf(deps, ref.id, found.tty, signal) },
      );
    }
    await sleep(pause, signal);
    pause = Math.min(pause * 1.5, 1_000);
  }
}
