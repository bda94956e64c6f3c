import type { TenantProgress, WaveState } from '@berth/shared/domain/rollout';
import type { Traffic } from '@berth/shared/domain/traffic';
import type { Decision, Rollout, RolloutTenant } from './types.ts';

/** What `begin` and `return` came to, which only whoever carries them out knows. Null: nothing changed. */
export interface Results {
  progress(tenant: string): TenantProgress | null;
  before(tenant: string): Traffic | null;
}

/** The rollout after these decisions were carried out. */
export function fold(rollout: Rollout, decisions: readonly Decision[], results: Results): Rollout {
  const changed = new Map<string, Partial<RolloutTenant>>();
  const waves: WaveState[] = [...rollout.waves];
  let { state, wave } = rollout;
  for (const decision of decisions) {
    switch (decision.kind) {
      case 'begin': {
        const progress = results.progress(decision.tenant);
        if (progress !== null)
          changed.set(decision.tenant, { progress, before: results.before(decision.tenant) });
        break;
      }
      case 'return': {
        const progress = results.progress(decision.tenant);
        if (progress !== null) changed.set(decision.tenant, { progress });
        break;
      }
      case 'progress':
        changed.set(decision.tenant, { ...changed.get(decision.tenant), progress: decision.progress });
        break;
      case 'wave':
        waves[decision.wave] = decision.state;
        break;
      case 'state':
        state = decision.state;
        break;
      case 'advance':
        wave = decision.wave;
        break;
      case 'restore':
        break;
    }
  }
  const tenants =
    changed.size === 0
      ? rollout.tenants
      : rollout.tenants.map((each) => {
          const change = changed.get(each.tenant);
          return change === undefined ? each : { ...each, ...change };
        });
  return { ...rollout, state, wave, waves, tenants };
}
