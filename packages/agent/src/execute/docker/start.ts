import { BerthError } from '@berth/shared/domain/errors';
import type { ContainerPlan, StepOf } from '@berth/shared/domain/step';
import type { ExecuteDeps, Note, SecretParts } from '../context.ts';
import { forAll, logTailOf, StepFailure } from '../failure.ts';
import { containerBody } from './container-body.ts';
import { assertSame, inspectOurs } from './ownership.ts';

/** Creates what is missing by name and starts what does not run, all side by side. */
export async function startContainers(
  deps: ExecuteDeps,
  step: StepOf<'containers.start'>,
  signal: AbortSignal,
): Promise<Note> {
  await forAll(step.containers, async (plan) => {
    const id = await ensureCreated(deps, plan, signal);
    await startOne(deps, id, plan.service, signal);
  });
  return undefined;
}

/** Starts containers that exist, by id. */
export async function resumeContainers(
  deps: ExecuteDeps,
  step: StepOf<'containers.resume'>,
  signal: AbortSignal,
): Promise<Note> {
  await deps.secrets?.reopen(step.tenant);
  await forAll(step.containers, async (ref) => {
    const found = await inspectOurs(deps, step.tenant, { ref: ref.id, service: ref.service }, signal);
    if (found === null)
      throw new StepFailure(
        'container_failed',
        `The container ${ref.name} is gone and cannot be started again.`,
        {
          service: ref.service,
        },
      );
    if (found.state !== 'running') await startOne(deps, ref.id, ref.service, signal);
  });
  return undefined;
}

/** Everything that can be wrong with secrets is found out before anything is stopped for their containers. */
export async function openSecrets(
  deps: ExecuteDeps,
  step: StepOf<'secrets.open'>,
  signal: AbortSignal,
): Promise<Note> {
  if (deps.secrets === undefined) throw withoutSecrets(step.containers[0]?.service ?? '');
  await deps.secrets.open(step.containers, signal);
  return undefined;
}

async function secretsFor(
  deps: ExecuteDeps,
  plan: ContainerPlan,
  signal: AbortSignal,
): Promise<SecretParts | undefined> {
  if (plan.spec.secrets === undefined && plan.spec.secretEnv === undefined) return undefined;
  if (deps.secrets === undefined) throw withoutSecrets(plan.service);
  return await deps.secrets.partsOf(plan, signal);
}

function withoutSecrets(service: string): StepFailure {
  return new StepFailure('secret_unavailable', `${service} needs secrets, and this agent has none.`, {
    service,
  });
}

const NAME_TRIES = 20;
const NAME_PAUSE_MS = 100;

/** The id of the plan's container, created when it was missing. Creating first saves a call in the usual case. */
export async function ensureCreated(
  deps: ExecuteDeps,
  plan: ContainerPlan,
  signal: AbortSignal,
): Promise<string> {
  const { docker, config } = deps.system;
  const secrets = await secretsFor(deps, plan, signal);
  for (let left = NAME_TRIES; ; left -= 1) {
    try {
      return await docker.createContainer(plan.name, containerBody(config.agent, plan, secrets), { signal });
    } catch (error) {
      if (!(error instanceof BerthError) || error.code !== 'conflict')
        throw explain(error, plan.service, plan.spec.image);
      const found = await inspectOurs(deps, plan.tenant, { ref: plan.name, service: plan.service }, signal);
      if (found !== null) {
        assertSame(found, plan);
        return found.id;
      }
      // The name is held by a container that is just being made or removed, as after a crash of the agent.
      if (left <= 0) throw explain(error, plan.service, plan.spec.image);
      await deps.sleep(NAME_PAUSE_MS, signal);
    }
  }
}

/** Starts one container; a refusal becomes a sentence about the service. */
export async function startOne(
  deps: ExecuteDeps,
  id: string,
  service: string,
  signal: AbortSignal,
): Promise<void> {
  try {
    await deps.system.docker.startContainer(id, { signal });
  } catch (error) {
    if (signal.aborted || !(error instanceof BerthError) || error.code === 'docker_unavailable') throw error;
    const logTail = await logTailOf(deps, id, false, signal);
    if (/address already in use/i.test(error.message))
      throw new StepFailure(
        'conflict',
        `${service}: its address is held by another container. ${error.message}`,
        {
          service,
          logTail,
          cause: error,
        },
      );
    throw new StepFailure('container_failed', `${service} could not be started. ${error.message}`, {
      service,
      logTail,
      cause: error,
    });
  }
}

function explain(error: unknown, service: string, image: string): unknown {
  if (!(error instanceof BerthError)) return error;
  const about = { service, cause: error };
  if (error.code === 'not_found' && /no such image/i.test(error.message))
    return new StepFailure('image_not_found', `The image ${image} of ${service} is not on this host.`, about);
  if (error.code === 'docker_unavailable' || error.code === 'timeout') return error;
  const code = error.code === 'conflict' ? 'conflict' : 'container_failed';
  return new StepFailure(code, `${service} could not be created. ${error.message}`, about);
}
