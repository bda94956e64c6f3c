import { tombstoneIn, type DesiredState, type DesiredTenant } from '@berth/shared/domain/desired';
import { digestOf } from '@berth/shared/domain/digest';
import { widensEgress } from '@berth/shared/domain/signature';
import { newStatus, type TenantStatus } from '@berth/shared/domain/status';
import type { Problem } from '@berth/shared/domain/step';
import type { TenantReport } from '@berth/shared/protocol/report';
import type { Clock, Reports, Statuses } from './ports.ts';
import type { Voice } from './voice.ts';

export interface UnsignedDeps {
  /** Why an entry must not run here, or null; absent where everything may. */
  vet: ((entry: DesiredTenant) => string | null) | null;
  statuses: Statuses;
  clock: Clock;
  reports: Reports;
  voice: Voice;
}

/** What the coordinator wants and this host does not run, because nobody it trusts has signed it. */
export interface Unsigned {
  /** What may be worked towards: where an entry may not run, what serves stays desired; where nothing does, nobody acts. */
  allowed(told: DesiredState): DesiredState;
  /** Why this entry, which nobody has asked for yet, would not run. */
  refusalOf(entry: DesiredTenant): string | null;
  has(tenant: string): boolean;
  /** A report of what serves, with what was refused in its place. */
  over(report: TenantReport): TenantReport;
  /** Tells of those that have no report of their own, since nothing of them runs that anybody remembers. */
  tell(): void;
  /** Everything is told once more. */
  repeat(): void;
}

interface Refusal {
  wanted: DesiredTenant;
  problem: Problem;
  /** What is worked towards in its place. */
  instead: DesiredTenant | null;
}

export function createUnsigned({ vet, statuses, clock, reports, voice }: UnsignedDeps): Unsigned {
  let refusals = new Map<string, Refusal>();
  /** By tenant, what was told last where there is no report of its own. */
  const said = new Map<string, DesiredTenant>();

  function refusalFor(wanted: DesiredTenant, why: string, instead: DesiredTenant | null): Refusal {
    const before = refusals.get(wanted.tenant);
    const message = `${why}. Nothing of it was started.`.slice(0, 2000);
    if (before?.wanted === wanted && before.problem.message === message) return { ...before, instead };
    // The keys may be others by now, and then what was said of it is no longer so.
    said.delete(wanted.tenant);
    const problem: Problem = {
      code: 'release_not_signed',
      message,
      step: 'verify the signature',
      service: null,
      logTail: [],
      at: clock.now(),
    };
    voice.happened(wanted.tenant, {
      kind: 'tenant.failed',
      generation: wanted.generation,
      message: problem.message,
      problem,
    });
    return { wanted, problem, instead };
  }

  return {
    allowed(told) {
      if (vet === null) return told;
      const next = new Map<string, Refusal>();
      for (const wanted of Object.values(told.tenants)) {
        const why = vet(wanted);
        if (why === null || tombstoneIn(told, wanted.tenant) !== undefined) continue;
        const serving = servingOf(statuses.all().get(wanted.tenant) ?? newStatus(wanted.tenant));
        // What was let in once, before the keys were others, goes on.
        if (!widensEgress(wanted) && serving.some((each) => isSame(each, wanted))) continue;
        const [first] = serving;
        const instead = first === undefined ? null : inState(first, wanted.state, refusals);
        next.set(wanted.tenant, refusalFor(wanted, why, instead));
      }
      refusals = next;
      for (const tenant of said.keys()) if (!next.has(tenant)) said.delete(tenant);
      if (next.size === 0) return told;
      const tenants = { ...told.tenants };
      for (const [tenant, { instead }] of next)
        if (instead === null) delete tenants[tenant];
        else tenants[tenant] = instead;
      return { ...told, tenants };
    },
    refusalOf: (entry) => vet?.(entry) ?? null,
    has: (tenant) => refusals.has(tenant),
    over(report) {
      const refusal = refusals.get(report.tenant);
      if (refusal === undefined) return report;
      const { generation } = refusal.wanted;
      return { ...report, generation, phase: 'failed', problem: refusal.problem, retryAt: null };
    },
    tell() {
      for (const [tenant, { wanted, problem, instead }] of refusals) {
        if (instead !== null || said.get(tenant) === wanted) continue;
        said.set(tenant, wanted);
        reports.tenant({
          tenant,
          generation: wanted.generation,
          live: statuses.all().get(tenant)?.live ?? null,
          phase: 'failed',
          at: clock.now(),
          steps: [],
          problem,
          retryAt: null,
          containers: [],
        });
      }
    },
    repeat: () => said.clear(),
  };
}

/** What serves, or is verified to do so, or is gone back to; not what was only begun. The first is what to keep. */
function servingOf({ live, move, known }: TenantStatus): DesiredTenant[] {
  const generations =
    move.kind === 'switched' || move.kind === 'baking'
      ? [move.generation, move.from]
      : move.kind === 'returning'
        ? [move.to, live]
        : [live];
  return generations.flatMap((generation) => known.find((each) => each.generation === generation) ?? []);
}

function isSame(known: DesiredTenant, wanted: DesiredTenant): boolean {
  return (
    known.generation === wanted.generation &&
    known.release === wanted.release &&
    known.app === wanted.app &&
    contentOf(known) === contentOf(wanted)
  );
}

/** A rollout sets its own time to bake. */
function contentOf({ spec }: DesiredTenant): string {
  return digestOf({ ...spec, bakeMs: 0 });
}

/** Pausing stops what runs and starts nothing else, so it needs no signature. The same object as long as it is the same. */
function inState(
  serving: DesiredTenant,
  state: DesiredTenant['state'],
  before: ReadonlyMap<string, Refusal>,
): DesiredTenant {
  if (serving.state === state) return serving;
  const made = before.get(serving.tenant)?.instead;
  if (made != null && made.state === state && made.spec === serving.spec) return made;
  return { ...serving, state };
}
