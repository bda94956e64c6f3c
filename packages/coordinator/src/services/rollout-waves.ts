import type { RolloutPolicy } from '@berth/shared/domain/rollout';
import { computeWaves, type Waves } from '../rollout/waves.ts';
import type { RolloutTenant } from '../rollout/types.ts';
import type { TenantFactRecord } from './rollout-store.ts';

/** Who goes when, as rows of a rollout that nobody has begun. */
export function waveMembers(
  { app, to }: { app: string; to: number },
  { waves, order }: Pick<RolloutPolicy, 'waves' | 'order'>,
  facts: readonly TenantFactRecord[],
): Omit<Waves, 'waves'> & { rows: RolloutTenant[] } {
  const staying = facts.filter((each) => each.state !== 'removing');
  const { waves: members, ...rest } = computeWaves({ app, to, waves, order, tenants: staying });
  const byName = new Map(staying.map((each) => [each.tenant, each]));
  const rows = members.flatMap((names, wave) =>
    names.flatMap((tenant, position): RolloutTenant[] => {
      const fact = byName.get(tenant);
      if (fact === undefined) return [];
      const { release: fromRelease, generation: fromGeneration } = fact;
      return [
        { tenant, wave, position, fromRelease, fromGeneration, progress: { kind: 'pending' }, before: null },
      ];
    }),
  );
  return { ...rest, rows };
}
