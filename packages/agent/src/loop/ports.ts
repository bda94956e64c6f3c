import type { ObservedHost } from '@berth/shared/domain/observed';
import type { TenantStatus } from '@berth/shared/domain/status';
import type { Step, StepOutcome } from '@berth/shared/domain/step';
import type { AgentEvent, HostReport, RemovalRequest, TenantReport } from '@berth/shared/protocol/report';

/** What the loop needs of the rooms it joins. */

export interface Clock {
  now(): number;
}

export interface Observer {
  observe(signal: AbortSignal): Promise<ObservedHost>;
  /** What Nginx runs with now; null when it is down. Needs no Docker. */
  sites(): Promise<ObservedHost['sites']>;
  /** Numbers about the host; what the loop knows itself is left to it. */
  host(signal: AbortSignal): Promise<Omit<HostReport, 'orphans' | 'containers' | 'docker'>>;
  /** Calls back when something on the host may have changed, until the signal aborts. */
  watch(onChange: (why: string) => void, signal: AbortSignal): void;
  /** At most `lines` last lines of a container, control characters removed. */
  logTail(containerId: string, lines: number, signal: AbortSignal): Promise<string[]>;
}

export type Execute = (step: Step, signal: AbortSignal) => Promise<StepOutcome>;

export interface Statuses {
  all(): ReadonlyMap<string, TenantStatus>;
  /** Resolves when it is safe on disk. */
  save(status: TenantStatus): Promise<void>;
  remove(tenant: string): Promise<void>;
}

export interface Reports {
  tenant(report: TenantReport): void;
  removal(request: RemovalRequest): void;
  event(event: Omit<AgentEvent, 'id'>): void;
  host(report: HostReport): void;
}

/** Named points at which a test may end the process; does nothing otherwise. */
export type Failpoint = (name: string) => void;
