import type { ContainerRef, StepOf } from '@berth/shared/domain/step';
import { Listing } from '../../system/docker-listing.ts';
import { madeOf } from '../../system/docker-types.ts';
import { AGENT_LABEL, SECRETS_LABEL, TENANT_LABEL } from '../../system/labels.ts';
import type { ExecuteDeps, Note } from '../context.ts';
import { forAll } from '../failure.ts';
import { inspectOurs } from './ownership.ts';

/** Stops containers side by side, each with its own signal and grace. What is gone or stopped is left as it is. */
export async function stopContainers(
  deps: ExecuteDeps,
  step: StepOf<'containers.stop'>,
  signal: AbortSignal,
): Promise<Note> {
  await forAll(step.containers, async (ref) => {
    const found = await inspectOurs(deps, step.tenant, { ref: ref.id, service: ref.service }, signal);
    if (found === null || found.state === 'created' || found.state === 'exited') return;
    await whileStopping(deps, ref, () =>
      deps.system.docker.stopContainer(ref.id, ref.graceMs, { signal, timeoutMs: ref.graceMs + 60_000 }),
    );
  });
  return undefined;
}

/** Removes containers; their volumes stay. One that still runs is stopped with its grace first. */
export async function removeContainers(
  deps: ExecuteDeps,
  step: StepOf<'containers.remove'>,
  signal: AbortSignal,
): Promise<Note> {
  await forAll(step.containers, async (ref) => {
    const found = await inspectOurs(deps, step.tenant, { ref: ref.id, service: ref.service }, signal);
    if (found === null) return;
    await whileStopping(deps, ref, async () => {
      if (found.state === 'running' || found.state === 'restarting' || found.state === 'paused')
        await deps.system.docker.stopContainer(ref.id, ref.graceMs, {
          signal,
          timeoutMs: ref.graceMs + 60_000,
        });
      await deps.system.docker.removeContainer(ref.id, { signal });
    });
  });
  await deps.secrets?.tidy(step.tenant, () => setsInUse(deps, step.tenant, signal));
  return undefined;
}

/** The sets of secrets that the tenant's containers were made with. */
async function setsInUse(deps: ExecuteDeps, tenant: string, signal: AbortSignal): Promise<string[]> {
  const listing = new Listing(`${TENANT_LABEL}=${tenant}`, madeOf);
  const made = await deps.system.docker.listContainers(listing, { signal });
  return made.flatMap((each) =>
    each?.labels[AGENT_LABEL] === deps.system.config.agent ? (each.labels[SECRETS_LABEL] ?? []) : [],
  );
}

/** While it lasts, the observer does not take the container's end for a death. */
async function whileStopping(deps: ExecuteDeps, ref: ContainerRef, task: () => Promise<void>): Promise<void> {
  const { stopping } = deps.system;
  stopping.add(ref.id);
  try {
    await task();
  } finally {
    stopping.delete(ref.id);
  }
}
