import { stateDigest, tombstoneIn, wantedIn } from '@berth/shared/domain/desired';
import type { DesiredState, DesiredTenant } from '@berth/shared/domain/desired';
import { BerthError, messageOf } from '@berth/shared/domain/errors';
import type { ObservedContainer, ObservedHost } from '@berth/shared/domain/observed';
import { newStatus, type TenantStatus } from '@berth/shared/domain/status';
import type { Problem } from '@berth/shared/domain/step';
import type { StepView, TenantPhase } from '@berth/shared/protocol/report';
import { judge, SERVING } from '../machine/judge.ts';
import { byTenantOf, membersOf } from '../plan/containers.ts';
import type { HostPlan, PlanSettings, TenantPlan } from '../plan/input.ts';
import { createPlanner, plan } from '../plan/plan.ts';
import { createBell } from './bell.ts';
import { problemFrom } from './complaints.ts';
import type { Gate } from './gate.ts';
import { createHostLane, touched } from './host-lane.ts';
import { createHostReport } from './host-report.ts';
import { problemOf, startLane, viewOf, type LaneEnd } from './lane.ts';
import type { Clock, Execute, Failpoint, Observer, Reports, Statuses } from './ports.ts';
import { createRefusals } from './refusals.ts';
import { tellRemoval } from './removal.ts';
import { reportOf } from './report.ts';
import { settleStatuses } from './settle.ts';
import {
  broughtBack,
  busyTenants,
  generationIn,
  happeningOf,
  isOvertaken,
  networksUnderWay,
  newBerth,
  setbackAfter,
  type Berth,
} from './tenants.ts';
import { createUnsigned } from './unsigned.ts';
import { createVoice, type Log } from './voice.ts';

export interface LoopDeps {
  settings: PlanSettings;
  observer: Observer;
  execute: Execute;
  statuses: Statuses;
  /** Tenants whose status was there and could not be read. */
  lost?: ReadonlySet<string>;
  reports: Reports;
  gate: Gate;
  clock: Clock;
  failpoint: Failpoint;
  log: Log;
  /** Why an entry must not run on this host, or null. Absent: everything may. */
  vet?: ((entry: DesiredTenant) => string | null) | null;
  /** The last accepted desired state and mode, from disk. */
  desired: DesiredState;
  mode: 'apply' | 'observe';
  /** Looks at everything at least this often, whether or not anything called. */
  sweepMs: number;
}

export interface Loop {
  /** Works until the signal aborts; steps under way are given up then and taken up again by the next start. */
  run(signal: AbortSignal): Promise<void>;
  desire(next: DesiredState, changed: readonly string[]): void;
  /** A desired state that could not be kept on disk; it is only told. */
  refuse(refused: DesiredState, changed: readonly string[], why: string): void;
  setMode(mode: 'apply' | 'observe'): void;
  /** What would be done if the tenant were desired like this. */
  preview(tenant: DesiredTenant, signal: AbortSignal): Promise<StepView[]>;
  /** Everything is told once more: the coordinator may have forgotten it. */
  repeatReports(): void;
  /** The containers of a tenant that serve, as last seen; all there are when none does. */
  servingOf(tenant: string): readonly ObservedContainer[];
}

const NONE: ReadonlySet<string> = new Set();
const DOCKER_RETRY_MS = 1_000;
const BURST_MS = 50;
const BUSY_BURST_MS = 300;

/** Observe, plan, run, observe again: the only room that joins the others. */
export function createLoop(deps: LoopDeps): Loop {
  const { settings, observer, statuses, reports, clock, log } = deps;
  const berths = new Map<string, Berth>();
  let told = deps.desired;
  let mode = deps.mode;
  let observed: ObservedHost | null = null;
  let lastSites: ObservedHost['sites'] = null;
  const bell = createBell();
  const planNext = createPlanner();
  const voice = createVoice(deps);
  const unsigned = createUnsigned({ ...deps, vet: deps.vet ?? null, voice });
  /** What of it may run here: all that is worked towards. */
  let desired = unsigned.allowed(told);
  const sayHost = createHostReport({ ...deps, voice });
  const hostLane = createHostLane({
    ...deps,
    voice,
    generationOf: (tenant) => wantedIn(desired, tenant)?.generation ?? null,
    ended: bell.ring,
  });

  const berthOf = (tenant: string): Berth => {
    const known = berths.get(tenant);
    if (known !== undefined) return known;
    const berth = newBerth();
    berths.set(tenant, berth);
    return berth;
  };
  const statusOf = (tenant: string): TenantStatus => statuses.all().get(tenant) ?? newStatus(tenant);

  const refusals = createRefusals({ clock, reports, voice, statusOf });

  async function run(signal: AbortSignal): Promise<void> {
    // Docker speaks in bursts; one look answers a whole burst.
    observer.watch((why) => {
      voice.noticed(why);
      // While steps run it is mostly they who make the noise, and their ends are told at once.
      const busy = [...berths.values()].some((berth) => berth.lane !== null);
      bell.ringSoon(busy ? BUSY_BURST_MS : BURST_MS);
    }, signal);
    while (!signal.aborted) await bell.wait(await cycle(signal), signal);
    await Promise.all([...berths.values()].flatMap((berth) => (berth.lane === null ? [] : [berth.lane.end])));
    await hostLane.idle();
  }

  /** One look at the host and all that follows from it. Returns how long to wait when nobody calls. */
  async function cycle(signal: AbortSignal): Promise<number> {
    try {
      observed = await observer.observe(signal);
      lastSites = observed.sites ?? lastSites;
      voice.docker('up');
      voice.nginx(observed.sites === null ? 'down' : 'up');
    } catch (thrown) {
      if (signal.aborted) return 0;
      voice.docker('down', thrown);
      await sayHost(observed, [], signal);
      // Nginx needs no Docker: what it served last it goes on serving.
      const down = lastSites !== null && (await observer.sites()) === null;
      if (down) hostLane.start([{ kind: 'ingress.apply', sites: [...(lastSites ?? [])] }], null, signal);
      return DOCKER_RETRY_MS;
    }
    const seen = observed;
    const byTenant = byTenantOf(seen.containers);
    await settleStatuses(
      { observer, clock, voice, statuses, lost: deps.lost ?? NONE, berthOf, save },
      desired,
      seen,
      byTenant,
      signal,
    );

    // What serves may be another by now, and with it what stands in for something refused.
    desired = unsigned.allowed(told);
    const now = clock.now();
    const made = planNext({
      desired,
      mode,
      statuses: statuses.all(),
      observed: seen,
      reserved: networksUnderWay(berths),
      busy: busyTenants(berths),
      settings,
      now,
    });
    hostLane.start(made.host, seen.sites, signal);
    for (const each of made.tenants) startTenant(each, now, signal);
    for (const tenant of made.deserted) berthOf(tenant).lane?.stop();
    for (const removal of made.removals)
      await tellRemoval(removal, berthOf(removal.tenant), { reports, voice, clock, statuses });
    await complain(byTenant, signal);
    report(byTenant);
    unsigned.tell();
    await forget(byTenant);
    const orphans = made.orphans.filter((tenant) => !unsigned.has(tenant));
    voice.orphans(orphans);
    await sayHost(seen, orphans, signal);
    return Math.max(10, soonest(made, now) - now);
  }

  async function save(status: TenantStatus): Promise<void> {
    try {
      await statuses.save(status);
    } catch (thrown) {
      const berth = berthOf(status.tenant);
      berth.setback = setbackAfter(berth.setback, problemOf(thrown, 'save', clock.now()), clock.now());
      log.error({ tenant: status.tenant, err: messageOf(thrown) }, 'a tenant’s status could not be saved');
    }
  }

  function startTenant(each: TenantPlan, now: number, signal: AbortSignal): void {
    const berth = berthOf(each.tenant);
    if (berth.lane !== null) return;
    berth.plan = each;
    if (each.obstacle !== null) {
      const problem: Problem = { ...each.obstacle, step: 'plan', service: null, logTail: [], at: now };
      berth.setback = { problem, attempts: 1, retryAt: now + deps.sweepMs };
      return;
    }
    if (berth.setback !== null && now < berth.setback.retryAt) return;
    if (each.steps.length === 0) {
      berth.setback = null;
      return;
    }
    const wanted = wantedIn(desired, each.tenant) ?? null;
    const { tenant } = each;
    const lane = startLane(
      each,
      wanted,
      {
        clock,
        execute: deps.execute,
        gate: deps.gate,
        failpoint: (name) => deps.failpoint(`${name}@${tenant}`),
        status: () => statusOf(tenant),
        change: (status) => statuses.save(status),
        happened: (happening) => voice.happened(tenant, happening),
        stepped: (step, state, ms, message) =>
          voice.stepped(tenant, generationIn(each) ?? wanted?.generation ?? null, step, state, ms, message),
        progressed: () => reportTenant(tenant, observed?.containers.filter((c) => c.tenant === tenant) ?? []),
      },
      signal,
    );
    berth.lane = lane;
    // What failed stays to be seen while it is tidied up after.
    const tidying = each.goal.kind === 'keep' && statusOf(tenant).failure?.generation === wanted?.generation;
    if (!tidying) berth.lastSteps = lane.views;
    const before = berth.phase;
    void lane.end.then((end) => laneEnded(tenant, each, end, before));
  }

  function laneEnded(tenant: string, done: TenantPlan, end: LaneEnd, before: TenantPhase | null): void {
    const berth = berthOf(tenant);
    berth.lane = null;
    if (end.kind === 'failed') {
      const status = statusOf(tenant);
      // Words may have been added to it, but it is the same step at the same time.
      const said = status.failure?.problem;
      const told =
        status.move.kind === 'returning' || (said?.at === end.problem.at && said.step === end.problem.step);
      // What the status remembers has its own way on; anything else is tried again after a pause.
      if (!told) berth.setback = setbackAfter(berth.setback, end.problem, clock.now());
      log.warn(
        { tenant, goal: done.goal, code: end.problem.code, step: end.problem.step },
        end.problem.message,
      );
    } else if (end.kind === 'clear') {
      berth.setback = null;
      const brought = done.steps.some(
        (step) => step.kind === 'containers.start' || step.kind === 'containers.resume',
      );
      if (done.goal.kind === 'keep' && brought)
        voice.happened(tenant, broughtBack(done.goal.generation, before));
    }
    bell.ring();
  }

  /** Notes what is wrong with containers that are meant to serve, once, with their last words. */
  async function complain(
    byTenant: ReadonlyMap<string, readonly ObservedContainer[]>,
    signal: AbortSignal,
  ): Promise<void> {
    for (const [tenant, wanted] of Object.entries(desired.tenants)) {
      const berth = berthOf(tenant);
      const { live } = statusOf(tenant);
      const members =
        live === null || wanted.state === 'paused' ? [] : membersOf(byTenant.get(tenant) ?? [], live);
      const complaint = judge(members, SERVING);
      const key = complaint === null ? '' : `${complaint.kind} ${complaint.container.id}`;
      if (complaint === null) berth.complaint = null;
      else if (berth.complaint?.key !== key)
        berth.complaint = { key, problem: await problemFrom(complaint, deps, signal) };
    }
  }

  function report(byTenant: ReadonlyMap<string, readonly ObservedContainer[]>): void {
    for (const tenant of Object.keys(desired.tenants)) reportTenant(tenant, byTenant.get(tenant) ?? []);
  }

  function reportTenant(tenant: string, containers: readonly ObservedContainer[]): void {
    const wanted = wantedIn(desired, tenant);
    if (wanted === undefined || tombstoneIn(desired, tenant) !== undefined) return;
    const berth = berthOf(tenant);
    const { setback, complaint } = berth;
    const of = [wanted, statusOf(tenant), berth.plan?.steps.length, berth.lane, setback, complaint];
    // A lane's views change in place, so what runs is always told.
    const { reported } = berth;
    if (berth.lane === null && berth.said !== '' && reported.length === of.length + containers.length) {
      const same = of.every((each, index) => each === reported[index]);
      if (same && containers.every((each, index) => each === reported[of.length + index])) return;
    }
    berth.reported = [...of, ...containers];
    const made = unsigned.over(
      reportOf(
        {
          desired: wanted,
          status: statusOf(tenant),
          plan: berth.plan,
          lane: berth.lane === null ? 'idle' : 'running',
          steps: berth.lastSteps,
          containers,
          trouble: setback ?? (complaint === null ? null : { problem: complaint.problem, retryAt: null }),
        },
        clock.now(),
      ),
    );
    const text = JSON.stringify({ ...made, at: 0 });
    if (text === berth.said) return;
    berth.said = text;
    const happening = happeningOf(berth.phase, made.phase, made.generation);
    berth.phase = made.phase;
    reports.tenant(refusals.over(made));
    if (happening !== null) voice.happened(tenant, happening);
  }

  /** Drops what is remembered of tenants that are gone for good. */
  async function forget(byTenant: ReadonlyMap<string, readonly ObservedContainer[]>): Promise<void> {
    for (const tenant of new Set([...statuses.all().keys(), ...berths.keys()])) {
      if (
        desired.revision === 0 ||
        wantedIn(told, tenant) !== undefined ||
        tombstoneIn(desired, tenant) !== undefined
      )
        continue;
      if (byTenant.has(tenant) || berths.get(tenant)?.lane != null) continue;
      berths.delete(tenant);
      if (statuses.all().has(tenant)) await statuses.remove(tenant).catch(() => undefined);
    }
  }

  function soonest(made: HostPlan, now: number): number {
    const times = made.tenants.flatMap((each) => [
      each.nextAt,
      berthOf(each.tenant).setback?.retryAt ?? null,
    ]);
    times.push(hostLane.retryAt());
    return Math.min(
      now + deps.sweepMs,
      ...times.filter((time) => time !== null).map((time) => Math.max(time, now)),
    );
  }

  return {
    run,
    refuse: refusals.refuse,
    desire(next, changed) {
      const before = desired;
      told = next;
      desired = unsigned.allowed(told);
      refusals.forget();
      for (const tenant of changed) {
        const berth = berths.get(tenant);
        if (berth === undefined) continue;
        berth.setback = null;
        // What was said of a refused state is no longer so.
        berth.said = '';
        if (isOvertaken(wantedIn(before, tenant), wantedIn(desired, tenant))) berth.lane?.stop();
      }
      log.info(
        { revision: next.revision, changed: changed.length, digest: stateDigest(next).slice(0, 12) },
        'desired state accepted',
      );
      bell.ring();
    },
    setMode(next) {
      if (mode === next) return;
      mode = next;
      bell.ring();
    },
    async preview(tenant, signal) {
      const refusal = unsigned.refusalOf(tenant);
      if (refusal !== null) throw new BerthError('release_not_signed', `It would not run here: ${refusal}.`);
      const seen = await observer.observe(signal);
      const made = plan({
        desired: {
          ...desired,
          revision: Math.max(1, desired.revision),
          tenants: { ...desired.tenants, [tenant.tenant]: tenant },
        },
        mode: 'apply',
        statuses: statuses.all(),
        observed: seen,
        reserved: networksUnderWay(berths),
        settings,
        now: clock.now(),
      });
      const host = made.host.filter((step) => touched(step, seen.sites ?? []).has(tenant.tenant));
      const own = made.tenants.find((each) => each.tenant === tenant.tenant)?.steps ?? [];
      return [...host, ...own].map(viewOf);
    },
    repeatReports() {
      for (const berth of berths.values()) berth.said = '';
      unsigned.repeat();
      bell.ring();
    },
    servingOf(tenant) {
      const containers = observed?.containers.filter((each) => each.tenant === tenant) ?? [];
      const { live } = statusOf(tenant);
      const members = live === null ? [] : membersOf(containers, live);
      return members.length > 0 ? members : containers;
    },
  };
}
