import type { ContainerPlan, ContainerRef } from '@berth/shared/domain/step';
import type { ContainerDetails } from '../../system/docker-types.ts';
import { AGENT_LABEL, TENANT_LABEL } from '../../system/labels.ts';
import type { ExecuteDeps } from '../context.ts';
import { StepFailure } from '../failure.ts';

/**
 * The container as it is now, or null when it is gone. A container of that id or name without this agent's and this
 * tenant's labels fails the step: the list that the step was planned from is not trusted with other people's work.
 */
export async function inspectOurs(
  deps: ExecuteDeps,
  tenant: string,
  ref: Pick<ContainerRef, 'service'> & { ref: string },
  signal: AbortSignal,
): Promise<ContainerDetails | null> {
  const found = await deps.system.docker.inspectContainer(ref.ref, { signal });
  if (found === null) return null;
  const { agent } = deps.system.config;
  if (found.labels[AGENT_LABEL] === agent && found.labels[TENANT_LABEL] === tenant) return found;
  throw new StepFailure(
    'conflict',
    `The container ${found.name} does not belong to tenant ${tenant} of this agent, so Berth leaves it alone. Rename or remove it.`,
    { service: ref.service },
  );
}

/** A container that stands where the plan's should: the same one, or a conflict. */
export function assertSame(found: ContainerDetails, plan: ContainerPlan): void {
  const same =
    found.labels['berth.spec'] === plan.specHash &&
    found.labels['berth.generation'] === String(plan.generation);
  if (same) return;
  throw new StepFailure(
    'conflict',
    `The container ${plan.name} exists with another specification (generation ${found.labels['berth.generation'] ?? '?'}). It must be removed before this one can be created.`,
    { service: plan.service },
  );
}
