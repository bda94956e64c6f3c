import type { Register } from './define.ts';
import { registerRolloutActions } from './rollout-act.ts';
import { registerRolloutLook } from './rollout-look.ts';
import { registerRolloutStart } from './rollout-start.ts';

export const registerRollout: Register = (program, contextOf) => {
  const rollout = program
    .command('rollout')
    .description("rollouts: an app's tenants moved to a release, wave by wave");
  registerRolloutStart(rollout, contextOf);
  registerRolloutLook(rollout, contextOf);
  registerRolloutActions(rollout, contextOf);
};
