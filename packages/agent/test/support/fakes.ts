import type { ObservedHost } from '@berth/shared/domain/observed';
import type { TenantStatus } from '@berth/shared/domain/status';
import type { Step, StepOutcome } from '@berth/shared/domain/step';
import type { AgentEvent, HostReport, RemovalRequest, TenantReport } from '@berth/shared/protocol/report';
import type { Observer, Reports, Statuses } from '../../src/loop/ports.ts';
import type { Log } from '../../src/loop/voice.ts';
import type { World } from './world.ts';

export const quiet: Log = { info() {}, warn() {}, error() {} };

/** Looks at a world; `fail` makes the next looks fail, as a Docker that is down does. */
export class WorldObserver implements Observer {
  failing: Error | null = null;
  looks = 0;
  private listener: (why: string) => void = () => undefined;
  private readonly world: World;
  constructor(world: World) {
    this.world = world;
  }
  async observe(): Promise<ObservedHost> {
    this.looks += 1;
    if (this.failing !== null) throw this.failing;
    return this.world.observed();
  }
  async sites(): Promise<ObservedHost['sites']> {
    return this.world.sites;
  }
  async host(): Promise<Omit<HostReport, 'orphans' | 'containers' | 'docker'>> {
    return {
      memoryTotalBytes: 1,
      memoryAvailableBytes: 1,
      diskTotalBytes: 1,
      diskAvailableBytes: 1,
      cpus: 1,
      nginx: 'up',
    };
  }
  watch(onChange: (why: string) => void): void {
    this.listener = onChange;
  }
  async logTail(): Promise<string[]> {
    return ['last words'];
  }
  call(): void {
    this.listener('test');
  }
}

/** Keeps statuses in memory; `full` makes every save fail as a full disk does. */
export class MemoryStatuses implements Statuses {
  full: Error | null = null;
  private readonly kept: Map<string, TenantStatus>;
  constructor(kept: Map<string, TenantStatus>) {
    this.kept = kept;
  }
  all(): ReadonlyMap<string, TenantStatus> {
    return this.kept;
  }
  async save(status: TenantStatus): Promise<void> {
    if (this.full !== null) throw this.full;
    this.kept.set(status.tenant, status);
  }
  async remove(tenant: string): Promise<void> {
    this.kept.delete(tenant);
  }
}

/** Remembers everything that was reported. */
export class Heard implements Reports {
  tenants: TenantReport[] = [];
  removals: RemovalRequest[] = [];
  events: Omit<AgentEvent, 'id'>[] = [];
  hosts: HostReport[] = [];
  tenant(report: TenantReport): void {
    this.tenants.push(report);
  }
  removal(request: RemovalRequest): void {
    this.removals.push(request);
  }
  event(event: Omit<AgentEvent, 'id'>): void {
    this.events.push(event);
  }
  host(report: HostReport): void {
    this.hosts.push(report);
  }
  last(tenant: string): TenantReport | undefined {
    return this.tenants.findLast((report) => report.tenant === tenant);
  }
  kinds(tenant: string): string[] {
    return this.events
      .filter((event) => event.tenant === tenant && event.kind !== 'tenant.step')
      .map((event) => event.kind);
  }
}

/** Runs steps in a world. A step kind that is held waits until it is let go or the lane is stopped. */
export class WorldExecutor {
  held = new Set<Step['kind']>();
  ran: Step[] = [];
  private release: (() => void)[] = [];
  private readonly world: World;
  constructor(world: World) {
    this.world = world;
  }
  execute = async (step: Step, signal: AbortSignal): Promise<StepOutcome> => {
    this.ran.push(step);
    if (this.held.has(step.kind)) {
      await new Promise<void>((resolve, reject) => {
        this.release.push(resolve);
        signal.addEventListener('abort', () => reject(new Error('stopped')), { once: true });
      });
    }
    return this.world.apply(step);
  };
  letGo(): void {
    this.held.clear();
    for (const go of this.release.splice(0)) go();
  }
}
