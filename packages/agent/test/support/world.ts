import { isDeepStrictEqual } from 'node:util';
import type { DesiredState, DesiredTenant } from '@berth/shared/domain/desired';
import type { ErrorCode } from '@berth/shared/domain/errors';
import type { RouteTarget, Site, TenantNetwork } from '@berth/shared/domain/network';
import type { ObservedContainer, ObservedHost } from '@berth/shared/domain/observed';
import { newStatus, type TenantStatus } from '@berth/shared/domain/status';
import type { ContainerPlan, ContainerRef, Step, StepOutcome } from '@berth/shared/domain/step';
import { adopt, recover } from '../../src/machine/adopt.ts';
import { heed } from '../../src/machine/heed.ts';
import { BAKING, judge } from '../../src/machine/judge.ts';
import { advance, begin, condemn, rest } from '../../src/machine/machine.ts';
import { doubt, forgottenUpTo, releasesOf } from '../../src/machine/recall.ts';
import { observeReleases, undertake } from '../../src/machine/released.ts';
import { membersOf } from '../../src/plan/containers.ts';
import type { HostPlan, TenantPlan } from '../../src/plan/input.ts';
import { createPlanner, plan } from '../../src/plan/plan.ts';
import { isWhole } from '../../src/plan/whole.ts';
import { settings } from './specs.ts';

/** A broken promise of the planner; tests let it fly. */
export class Broken extends Error {}

interface Kept extends ObservedContainer {
  proven: boolean;
  strategy: string;
  volumes: readonly string[];
}

/**
 * A host in memory that does what steps say, as far as planning can tell, and refuses what must never happen. The clock
 * moves only when the test moves it.
 */
export class World {
  containers = new Map<string, Kept>();
  networks = new Map<string, TenantNetwork>();
  routes = new Map<string, RouteTarget>();
  sites: Site[] | null = [];
  statuses = new Map<string, TenantStatus>();
  now = 1_000_000;
  /** Generations that never become healthy, by `tenant generation`. */
  unhealthy = new Set<string>();
  /** Generations whose verification through Nginx fails. */
  unverifiable = new Set<string>();
  /** Generations that were seen to end by themselves while they baked: they are not tried again. */
  condemned = new Set<string>();
  /** Whether a person removed containers, so that some may not be there. */
  vanished: 'none' | 'some' = 'none';
  /** Tenants whose status could not be read. */
  lost = new Set<string>();
  /** How often a release command really ran, by tenant and key. */
  releases = new Map<string, number>();
  /** How the next release commands end; `hangs`: the agent dies while the command runs. */
  releaseFate: 'succeeds' | 'fails' | 'hangs' = 'succeeds';
  /** `unrouted`: what can be replaced without a gap must be out of every route before it stops. */
  stops: 'any' | 'unrouted' = 'any';
  /** Containers that were started or stopped, in order: to see what a change disturbed. */
  log: string[] = [];
  private nextId = 1;

  private readonly seen = new Map<string, ObservedContainer>();
  private readonly planNext = createPlanner();

  /** Like the observer it gives the same object for a container that is as it was. */
  observed(): ObservedHost {
    return {
      containers: [...this.containers.values()].map(
        ({ proven: _proven, strategy: _strategy, ...container }) => {
          const before = this.seen.get(container.id);
          if (before !== undefined && isDeepStrictEqual(before, container)) return before;
          this.seen.set(container.id, container);
          return container;
        },
      ),
      networks: [...this.networks.values()],
      routes: this.routes,
      sites: this.sites,
    };
  }

  plan(desired: DesiredState): HostPlan {
    const input = {
      desired,
      mode: 'apply' as const,
      statuses: this.statuses,
      observed: this.observed(),
      reserved: [],
      settings,
      now: this.now,
    };
    const made = plan(input);
    // Whatever the planner remembers of the time before, it says the same.
    for (const again of [this.planNext(input), this.planNext(input)])
      if (!isDeepStrictEqual(again, made)) throw new Broken('a planner that remembers plans otherwise');
    return made;
  }

  /** One cycle of the loop, without its concurrency. `budget` steps are run, then the agent dies. */
  cycle(desired: DesiredState, budget = Number.POSITIVE_INFINITY): { ran: number; died: boolean } {
    this.settle(desired);
    const made = this.plan(desired);
    let ran = 0;
    for (const step of made.host) {
      if (ran >= budget) return { ran, died: true };
      this.apply(step);
      ran += 1;
    }
    for (const each of made.tenants) {
      const done = this.lane(each, desired, budget - ran);
      ran += done.ran;
      if (done.died) return { ran, died: true };
    }
    return { ran, died: false };
  }

  private settle(desired: DesiredState): void {
    for (const [tenant, wanted] of Object.entries(desired.tenants)) {
      const own = this.observed().containers.filter((each) => each.tenant === tenant);
      const status = this.reconsidered(wanted, own);
      if (status === undefined) {
        if (own.length > 0 || this.lost.has(tenant))
          this.statuses.set(
            tenant,
            doubt(
              {
                ...adopt(tenant, wanted, own, this.routes),
                released: releasesOf(wanted, own),
                forgotten: forgottenUpTo(wanted, own),
              },
              wanted,
            ),
          );
        continue;
      }
      if (status.move.kind !== 'baking') continue;
      const { generation } = status.move;
      const complaint = judge(
        membersOf(own, status.move.generation).filter((each) => each.generation === generation),
        BAKING,
      );
      const next =
        complaint === null ? rest(status, this.now) : condemn(status, problem('crash_loop', 'watch'));
      if (complaint !== null) this.condemned.add(`${tenant} ${generation}`);
      this.statuses.set(tenant, next.status);
    }
  }

  private reconsidered(wanted: DesiredTenant, own: readonly ObservedContainer[]): TenantStatus | undefined {
    const status = this.statuses.get(wanted.tenant);
    if (status === undefined) return undefined;
    const seen = observeReleases(recover(status, wanted, own, this.routes, this.now), own);
    const next = heed(doubt(seen, wanted), wanted, () => (isWhole(wanted, own) ? 'whole' : 'gone'), this.now);
    this.statuses.set(wanted.tenant, next);
    return next;
  }

  private lane(each: TenantPlan, desired: DesiredState, budget: number): { ran: number; died: boolean } {
    const wanted = desired.tenants[each.tenant];
    const status = (): TenantStatus => this.statuses.get(each.tenant) ?? newStatus(each.tenant);
    if (each.goal.kind === 'move' && wanted !== undefined)
      this.statuses.set(each.tenant, begin(status(), wanted, this.now));
    let ran = 0;
    for (const step of each.steps) {
      this.statuses.set(each.tenant, undertake(status(), step));
      if (ran >= budget) return { ran, died: true };
      const outcome = this.apply(step);
      if (step.kind === 'release.run' && this.byName(step.container.name)?.state === 'running')
        return { ran, died: true };
      ran += 1;
      // Dying here leaves the effect without its record: the hardest moment.
      if (ran >= budget) return { ran, died: true };
      this.statuses.set(
        each.tenant,
        advance(status(), step, outcome, wanted?.spec.bakeMs ?? 0, this.now).status,
      );
      if (outcome.kind === 'failed') return { ran, died: false };
    }
    return { ran, died: false };
  }

  apply(step: Step): StepOutcome {
    switch (step.kind) {
      case 'ingress.apply':
        this.sites = [...step.sites];
        return ok;
      case 'network.ensure': {
        for (const network of this.networks.values()) {
          if (network.tenant !== step.tenant && network.subnet === step.network.subnet)
            throw new Broken(`${step.network.subnet} given twice`);
        }
        this.networks.set(step.tenant, step.network);
        return ok;
      }
      case 'network.remove':
        if ([...this.containers.values()].some((each) => each.tenant === step.tenant))
          throw new Broken('network removed under containers');
        this.networks.delete(step.tenant);
        return ok;
      case 'volume.ensure':
      case 'preflight':
      case 'image.ensure':
      case 'secrets.open':
      case 'drain':
        return ok;
      case 'release.create':
        if (this.byName(step.container.name) === undefined) this.create(step.container, 'created');
        return ok;
      case 'release.run': {
        const container = this.byName(step.container.name);
        if (container === undefined) return failed('release_outcome_unknown', step);
        if (container.state === 'created') {
          const key = `${step.tenant} ${step.key}`;
          this.releases.set(key, (this.releases.get(key) ?? 0) + 1);
          container.state = 'running';
        }
        if (container.state === 'running' && this.releaseFate === 'hangs') return ok;
        if (container.state === 'running')
          this.endRelease(container.name, this.releaseFate === 'fails' ? 1 : 0);
        return container.exitCode === 0 ? ok : failed('release_command_failed', step);
      }
      case 'containers.start':
        for (const each of step.containers) this.start(each);
        return ok;
      case 'containers.resume':
        for (const each of step.containers) this.run(this.must(each));
        return ok;
      case 'containers.probe':
        if (this.unhealthy.has(`${step.tenant} ${step.generation}`)) return failed('health_failed', step);
        for (const each of step.containers) {
          const container = this.byName(each.name);
          if (container === undefined && this.vanished === 'some') return failed('container_failed', step);
          if (container === undefined) throw new Broken(`${each.name} probed but not there`);
          if (container.state !== 'running' && container.exitCode !== 0)
            return failed('container_failed', step);
          container.proven = true;
        }
        return ok;
      case 'containers.settle':
        for (const each of step.containers) {
          const container = this.must(each);
          if (container.state !== 'running') throw new Broken(`${each.name} settles but does not run`);
          container.proven = true;
        }
        return ok;
      case 'containers.stop':
        for (const each of step.containers) this.stop(this.must(each));
        return ok;
      case 'containers.remove':
        for (const each of step.containers) {
          const container = this.must(each);
          if (container.state === 'running') throw new Broken(`${each.name} removed while it runs`);
          this.containers.delete(container.id);
        }
        return ok;
      case 'route.switch':
        for (const { virtual, target } of step.entries) {
          if (target.kind === 'containers')
            for (const endpoint of target.endpoints) this.mayBeRouted(endpoint.address, step.generation);
          if (target.kind === 'none') this.routes.delete(virtual);
          else this.routes.set(virtual, target);
        }
        return ok;
      case 'route.verify':
        if (this.unverifiable.has(`${step.tenant} ${step.generation}`)) return failed('verify_failed', step);
        return ok;
    }
  }

  /** A route only ever points at a container that passed health in its generation. */
  private mayBeRouted(address: string, generation: number | null): void {
    const container = [...this.containers.values()].find(
      (each) => each.address === address && each.state === 'running',
    );
    if (container === undefined)
      throw new Broken(`route to ${address}, where nothing runs (generation ${generation})`);
    if (!container.proven) throw new Broken(`route to ${container.name}, which was never healthy`);
  }

  private mayBeStopped({ address, name }: Kept): void {
    const sites = new Set((this.sites ?? []).map((site) => site.virtual));
    for (const [virtual, target] of this.routes) {
      if (!sites.has(virtual)) continue;
      if (target.kind === 'containers' && target.endpoints.some((each) => each.address === address))
        throw new Broken(`${name} is stopped while ${virtual} leads to it`);
    }
  }

  private start(each: ContainerPlan): void {
    for (const { service, condition } of each.spec.dependsOn) {
      const needed = [...this.containers.values()].filter(
        (other) => other.tenant === each.tenant && other.service === service && other.state === 'running',
      );
      if (condition === 'healthy' && !needed.some((other) => other.proven))
        throw new Broken(`${each.name} starts before ${service} is healthy`);
    }
    const container = this.byName(each.name);
    if (container === undefined) this.run(this.create(each, 'created'));
    else if (container.specHash !== each.specHash) throw new Broken(`${each.name} exists with another spec`);
    else if (container.state !== 'running') this.run(container);
  }

  private run(container: Kept): void {
    if (container.state === 'running') return;
    for (const other of this.containers.values()) {
      if (other.state !== 'running' || other.id === container.id) continue;
      if (other.address === container.address)
        throw new Broken(`${container.name} and ${other.name} share ${other.address}`);
      const twins =
        other.tenant === container.tenant &&
        other.service === container.service &&
        other.replica === container.replica;
      if (twins && container.strategy !== 'blue-green' && other.strategy !== 'blue-green')
        throw new Broken(`${container.name} and ${other.name} run side by side`);
      if (
        other.tenant === container.tenant &&
        other.volumes.some((volume) => container.volumes.includes(volume))
      )
        throw new Broken(`${container.name} and ${other.name} run on one volume`);
    }
    for (const target of this.routes.values()) {
      if (target.kind !== 'containers' || container.proven) continue;
      if (target.endpoints.some((each) => each.address === container.address))
        throw new Broken(`a route leads to ${container.name} before it is healthy`);
    }
    container.state = 'running';
    container.exitCode = null;
    this.log.push(`start ${container.name}`);
  }

  private stop(container: Kept): void {
    if (container.state !== 'running') return;
    const beside = container.role === 'colour' && container.strategy === 'blue-green';
    if (this.stops === 'unrouted' && beside) this.mayBeStopped(container);
    container.state = 'exited';
    container.exitCode = 143;
    this.log.push(`stop ${container.name}`);
  }

  /** A release command ends, whether or not somebody waits for it. */
  endRelease(name: string, exitCode: number): void {
    const container = this.byName(name);
    if (container === undefined || container.state !== 'running') return;
    container.state = 'exited';
    container.exitCode = exitCode;
  }

  /** A person removes a container. */
  vanish(name: string): void {
    const container = this.byName(name);
    if (container === undefined) return;
    this.containers.delete(container.id);
    this.vanished = 'some';
  }

  /** Ends a container as a crash would. */
  kill(name: string): void {
    const container = this.byName(name);
    if (container === undefined) return;
    container.state = 'exited';
    container.exitCode = 1;
    container.deaths += 1;
  }

  private create(each: ContainerPlan, state: 'created'): Kept {
    if (!this.networks.has(each.tenant)) throw new Broken(`${each.name} created without a network`);
    const container: Kept = {
      id: `c${this.nextId++}`,
      name: each.name,
      tenant: each.tenant,
      app: each.app,
      release: each.release,
      generation: each.generation,
      service: each.service,
      replica: each.replica,
      role: each.role,
      specHash: each.specHash,
      address: each.address,
      ...(each.releaseKey === undefined ? {} : { releaseKey: each.releaseKey }),
      virtual: each.virtual ?? null,
      port: each.spec.route?.port ?? null,
      graceMs: each.spec.stopGraceMs,
      drainMs: each.spec.drainMs,
      state,
      exitCode: null,
      health: 'none',
      deaths: 0,
      proven: false,
      strategy: each.spec.strategy,
      volumes: each.spec.volumes.map((mount) => mount.volume),
    };
    this.containers.set(container.id, container);
    return container;
  }

  private byName(name: string): Kept | undefined {
    return [...this.containers.values()].find((each) => each.name === name);
  }

  private must(ref: ContainerRef): Kept {
    const container = this.containers.get(ref.id);
    if (container === undefined) throw new Broken(`a step names ${ref.name}, which is not there`);
    return container;
  }

  /** Generations that the tenant's routes lead to. */
  routedGenerations(tenant: string): number[] {
    const found = new Set<number>();
    for (const target of this.routes.values()) {
      if (target.kind !== 'containers') continue;
      for (const endpoint of target.endpoints) {
        for (const each of this.containers.values()) {
          if (
            each.tenant === tenant &&
            each.role === 'colour' &&
            each.state === 'running' &&
            each.address === endpoint.address
          )
            found.add(each.generation);
        }
      }
    }
    return [...found];
  }
}

const ok: StepOutcome = { kind: 'ok' };

function problem(code: ErrorCode, step: string): Extract<StepOutcome, { kind: 'failed' }>['problem'] {
  return { code, message: code, step, service: null, logTail: [], at: 0 };
}

function failed(code: ErrorCode, step: Step): StepOutcome {
  return { kind: 'failed', problem: problem(code, step.kind) };
}
