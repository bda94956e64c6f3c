import type { DesiredState } from '@berth/shared/domain/desired';
import type { ObservedContainer, ObservedHost } from '@berth/shared/domain/observed';
import type { TenantStatus } from '@berth/shared/domain/status';
import { adopt, recover } from '../machine/adopt.ts';
import { BAKING, judge } from '../machine/judge.ts';
import { condemn, rest } from '../machine/machine.ts';
import { membersOf } from '../plan/containers.ts';
import { problemFrom } from './complaints.ts';
import type { Clock, Observer, Statuses } from './ports.ts';
import type { Berth } from './tenants.ts';
import type { Voice } from './voice.ts';

export interface SettleDeps {
  observer: Observer;
  clock: Clock;
  voice: Voice;
  statuses: Statuses;
  berthOf(tenant: string): Berth;
  save(status: TenantStatus): Promise<void>;
}

/** Statuses that time or a look at the containers changes: lost ones, baked ones, ones that crash while they bake. */
export async function settleStatuses(
  deps: SettleDeps,
  desired: DesiredState,
  seen: ObservedHost,
  byTenant: ReadonlyMap<string, readonly ObservedContainer[]>,
  signal: AbortSignal,
): Promise<void> {
  const { clock, statuses, voice, save } = deps;
  for (const tenant of Object.keys(desired.tenants)) {
    const containers = byTenant.get(tenant) ?? [];
    const { lane } = deps.berthOf(tenant);
    const known = statuses.all().get(tenant);
    if (known === undefined) {
      if (lane === null && containers.length > 0)
        await save(adopt(tenant, desired.tenants[tenant], containers, seen.routes));
      continue;
    }
    const status = lane === null ? recover(known, containers, seen.routes, clock.now()) : known;
    if (status !== known) await save(status);
    if (status.move.kind !== 'baking') continue;

    const complaint = judge(bornIn(containers, status.move.generation), BAKING);
    if (complaint !== null) {
      const { status: next } = condemn(status, await problemFrom(complaint, deps, signal));
      if (next === status) continue;
      await save(next);
      // The old colour may still be draining: that is given up, for it is about to serve again.
      lane?.stop();
    } else if (lane === null) {
      const { status: next, happenings } = rest(status, clock.now());
      if (next !== status) await save(next);
      for (const each of happenings) voice.happened(tenant, each);
    }
  }
}

/** What was made for this generation; keepers that are older have proven themselves before. */
function bornIn(containers: readonly ObservedContainer[], generation: number): ObservedContainer[] {
  return membersOf(containers, generation).filter((each) => each.generation === generation);
}
