import type { ContainerPlan, StepOf } from '@berth/shared/domain/step';
import type { ContainerDetails } from '../../system/docker-types.ts';
import { redact, secretsOf } from '../../system/redact.ts';
import { mib } from '../../system/text.ts';
import type { ExecuteDeps, Note } from '../context.ts';
import { forAll, logTailOf, StepFailure } from '../failure.ts';
import { argvOf, lookByConnect, lookByExec, lookByHttp, type Look } from './health.ts';
import { inspectOurs } from './ownership.ts';

const FIRST_LOOK_MS = 20;
const ROUTED_DEADLINE_MS = 30_000;
const CHECKED_DEADLINE_MIN_MS = 5_000;
const STAYS_UP_MS = 250;
const JOB_DEADLINE_MS = 600_000;

/**
 * Waits until every container of the step is healthy, looking often at first, so that a fast start is a fast deploy.
 * A container that ends or is restarted meanwhile fails the step at once.
 */
export async function probeContainers(
  deps: ExecuteDeps,
  step: StepOf<'containers.probe'>,
  signal: AbortSignal,
): Promise<Note> {
  await forAll(step.containers, (plan) => probeOne(deps, plan, signal));
  return undefined;
}

async function probeOne(deps: ExecuteDeps, plan: ContainerPlan, signal: AbortSignal): Promise<void> {
  const { clock, sleep } = deps;
  const began = clock.now();
  const manner = mannerOf(plan);
  const first = await examine(deps, plan, null, signal);
  if (first === 'done') return;

  let pause = FIRST_LOOK_MS;
  let words = 'it has not answered yet';
  await sleep(FIRST_LOOK_MS, signal);
  for (;;) {
    const waited = clock.now() - began;
    const look = await manner.look(deps, plan, waited, signal);
    if (look.healthy) return;
    words = look.words;
    if ((await examine(deps, plan, first, signal)) === 'done') return;
    if (clock.now() - began >= manner.deadlineMs) break;
    pause = Math.min(pause * 1.5, manner.maxPauseMs);
    await sleep(pause, signal);
  }
  const environment = Object.entries(plan.spec.environment).map(([name, value]) => `${name}=${value}`);
  const told = redact(words, secretsOf(environment));
  throw new StepFailure(
    'health_failed',
    `${plan.service} was not healthy within ${Math.round(manner.deadlineMs / 1000)} s: ${told}.`,
    { service: plan.service, logTail: await logTailOf(deps, plan.name, plan.spec.tty, signal) },
  );
}

interface Manner {
  deadlineMs: number;
  maxPauseMs: number;
  look(deps: ExecuteDeps, plan: ContainerPlan, waitedMs: number, signal: AbortSignal): Promise<Look>;
}

/** How this container shows that it is healthy. */
function mannerOf(plan: ContainerPlan): Manner {
  const { healthcheck: check, route, restart } = plan.spec;
  const argv = check === undefined ? null : argvOf(check.test);
  if (check !== undefined && argv !== null)
    return {
      deadlineMs: Math.max(CHECKED_DEADLINE_MIN_MS, check.startPeriodMs + check.intervalMs * check.retries),
      maxPauseMs: Math.max(FIRST_LOOK_MS, check.startIntervalMs),
      async look(deps, { name, address }, _waited, signal) {
        const own = await lookByExec(deps, name, argv, check.timeoutMs, signal);
        if (!own.healthy || route === undefined) return own;
        // The check may not know the port that requests will come to; a switch must not lead to a closed one.
        return await lookByConnect(address, route.port, 1_000, signal);
      },
    };
  if (route !== undefined)
    return {
      deadlineMs: ROUTED_DEADLINE_MS,
      maxPauseMs: 500,
      async look(_deps, { address, tenant }, _waited, signal) {
        const open = await lookByConnect(address, route.port, 1_000, signal);
        if (!open.healthy) return open;
        const at = { address, port: route.port, host: `${tenant}.berth.internal`, path: route.health };
        return await lookByHttp(at, 5_000, signal);
      },
    };
  if (restart === 'no')
    return {
      deadlineMs: JOB_DEADLINE_MS,
      maxPauseMs: 500,
      look: () => Promise.resolve({ healthy: false, words: 'it has not ended yet' }),
    };
  return {
    deadlineMs: CHECKED_DEADLINE_MIN_MS,
    maxPauseMs: 100,
    async look(deps, examined, waited, signal) {
      if (waited < STAYS_UP_MS) return { healthy: false, words: 'it has only just started' };
      const found = await inspectOurs(
        deps,
        examined.tenant,
        { ref: examined.name, service: examined.service },
        signal,
      );
      return found?.state === 'running'
        ? { healthy: true }
        : { healthy: false, words: `it is ${found?.state ?? 'gone'}` };
    },
  };
}

/** Throws when the container is gone, has ended or was restarted; 'done' when it ended well and was allowed to. */
async function examine(
  deps: ExecuteDeps,
  plan: ContainerPlan,
  before: ContainerDetails | null,
  signal: AbortSignal,
): Promise<ContainerDetails | 'done'> {
  const { service, spec } = plan;
  const found = await inspectOurs(deps, plan.tenant, { ref: plan.name, service }, signal);
  if (found === null)
    throw new StepFailure('container_failed', `The container ${plan.name} was removed while it started.`, {
      service,
    });
  const restarted = before !== null && found.restartCount > before.restartCount;
  if (found.state === 'running' && !restarted) return found;
  if (found.state === 'exited' && found.exitCode === 0 && spec.restart !== 'always') return 'done';
  throw await endOf(deps, plan, found, signal);
}

async function endOf(
  deps: ExecuteDeps,
  plan: ContainerPlan,
  found: ContainerDetails,
  signal: AbortSignal,
): Promise<StepFailure> {
  const how = found.oomKilled
    ? `ran out of memory (its limit is ${mib(plan.spec.limits.memoryBytes)})`
    : found.everStarted
      ? `ended with exit code ${found.exitCode}`
      : 'was never started';
  const reason = found.error === '' ? '' : ` ${found.error}`;
  return new StepFailure('container_failed', `${plan.service} ${how} while it started.${reason}`, {
    service: plan.service,
    logTail: await logTailOf(deps, found.id, found.tty, signal),
  });
}
