import { wantedIn, type DesiredState, type DesiredTenant } from '@berth/shared/domain/desired';
import type { ObservedContainer, ObservedHost } from '@berth/shared/domain/observed';
import type { TenantStatus } from '@berth/shared/domain/status';
import { adopt, recover } from '../machine/adopt.ts';
import { heed } from '../machine/heed.ts';
import { BAKING, judge } from '../machine/judge.ts';
import { condemn, rest } from '../machine/machine.ts';
import { doubt, forgottenUpTo, releasesOf } from '../machine/recall.ts';
import { observeReleases } from '../machine/released.ts';
import { membersOf } from '../plan/containers.ts';
import { isWhole } from '../plan/whole.ts';
import { problemFrom } from './complaints.ts';
import type { Clock, Observer, Statuses } from './ports.ts';
import type { Berth } from './tenants.ts';
import type { Voice } from './voice.ts';

export interface SettleDeps {
  observer: Observer;
  clock: Clock;
  voice: Voice;
  statuses: Statuses;
  /** Tenants whose status was there and could not be read. */
  lost: ReadonlySet<string>;
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
    const wanted = wantedIn(desired, tenant);
    const { lane } = deps.berthOf(tenant);
    const known = statuses.all().get(tenant);
    if (known === undefined) {
      const hadOne = containers.length > 0 || deps.lost.has(tenant);
      if (lane === null && hadOne && wanted !== undefined)
        await save(
          doubt(
            {
              ...adopt(tenant, wanted, containers, seen.routes),
              released: releasesOf(wanted, containers),
              forgotten: forgottenUpTo(wanted, containers),
            },
            wanted,
          ),
        );
      continue;
    }
    const status = lane === null ? reconsidered(known, wanted, containers, seen, clock.now()) : known;
    if (status !== known) await save(status);
    if (status.move.kind !== 'baking') continue;

    const complaint = judge(bornIn(containers, status.move.generation), BAKING);
    // What failed and may not be left has been told.
    const news = complaint !== null && status.failure?.generation !== status.move.generation;
    const { status: next, happenings } = news
      ? condemn(status, await problemFrom(complaint, deps, signal))
      : lane === null
        ? rest(status, clock.now())
        : { status, happenings: [] };
    if (next === status) continue;
    await save(next);
    for (const each of happenings) voice.happened(tenant, each);
    // The old colour may still be draining: that is given up when it is about to serve again.
    if (next.move.kind === 'returning') lane?.stop();
  }
}

/** What the host and the coordinator's newest word make of a status on which nobody works. */
function reconsidered(
  known: TenantStatus,
  wanted: DesiredTenant | undefined,
  containers: readonly ObservedContainer[],
  seen: ObservedHost,
  now: number,
): TenantStatus {
  const status = observeReleases(recover(known, wanted, containers, seen.routes, now), containers);
  if (wanted === undefined) return status;
  return heed(doubt(status, wanted), wanted, () => (isWhole(wanted, containers) ? 'whole' : 'gone'), now);
}

/** What was made for this generation; keepers that are older have proven themselves before. */
function bornIn(containers: readonly ObservedContainer[], generation: number): ObservedContainer[] {
  return membersOf(containers, generation).filter((each) => each.generation === generation);
}
