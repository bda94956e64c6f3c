import type { StepOf } from '@berth/shared/domain/step';
import { AGENT_LABEL, TENANT_LABEL } from '../../system/labels.ts';
import { volumeName } from '../../system/names.ts';
import type { ExecuteDeps, Note } from '../context.ts';
import { forAll, StepFailure } from '../failure.ts';

/** Makes the tenant's volumes. No step ever removes one. A volume of that name which is not ours is never mounted. */
export async function ensureVolumes(
  deps: ExecuteDeps,
  step: StepOf<'volume.ensure'>,
  signal: AbortSignal,
): Promise<Note> {
  const { docker, config } = deps.system;
  const { tenant } = step;
  await forAll(step.volumes, async (volume) => {
    const name = volumeName(config.agent, tenant, volume);
    let found = await docker.inspectVolume(name, { signal });
    if (found === null) {
      const labels = { [AGENT_LABEL]: config.agent, [TENANT_LABEL]: tenant, 'berth.volume': volume };
      await docker.createVolume(name, labels, { signal });
      found = await docker.inspectVolume(name, { signal });
    }
    if (found?.labels[AGENT_LABEL] === config.agent && found.labels[TENANT_LABEL] === tenant) return;
    throw new StepFailure(
      'conflict',
      `A volume named ${name} exists that does not belong to tenant ${tenant} of this agent. Rename or remove it.`,
    );
  });
  return undefined;
}
