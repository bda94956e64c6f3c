import { spawn, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { z } from 'zod';
import type { DesiredTenant } from '@berth/shared/domain/desired';
import { AgentEvent, TenantReport } from '@berth/shared/protocol/report';
import type { HostConfig } from '@berth/agent/system/config';

const Line = z.union([
  z.object({ report: TenantReport }),
  z.object({ event: AgentEvent.omit({ id: true }) }),
  z.object({ ready: z.literal(true) }),
]);
type Event = Omit<AgentEvent, 'id'>;

/** An agent process without a coordinator; what it is told to want is kept across its restarts by itself. */
export interface Alone {
  start(options?: { failpoint?: string }): Promise<void>;
  /** SIGKILL, and resolves when it is gone. */
  kill(): Promise<void>;
  ended(): Promise<NodeJS.Signals | null>;
  desire(...tenants: DesiredTenant[]): void;
  /** The first report of a tenant from now on, or the last one there is, that fits. */
  until(what: string, tenant: string, fits: (report: TenantReport) => boolean): Promise<TenantReport>;
  /** Everything that happened to a tenant, without its steps. */
  events(tenant: string): Event[];
  /** Forgets what was reported, so that only what is to come counts. */
  forget(): void;
}

export function agentAlone(config: HostConfig): Alone {
  const reports = new Map<string, TenantReport>();
  let events: Event[] = [];
  let child: ChildProcess | null = null;
  let over: Promise<NodeJS.Signals | null> = Promise.resolve(null);
  let revision = 0;
  let errors = '';
  const wanted = new Map<string, DesiredTenant>();
  const listeners = new Set<() => void>();

  function hear(text: string, ready: () => void): void {
    const line = Line.parse(JSON.parse(text));
    if ('report' in line) reports.set(line.report.tenant, line.report);
    else if ('event' in line) events.push(line.event);
    else ready();
    for (const listener of listeners) listener();
  }

  return {
    async start({ failpoint } = {}) {
      const program = join(import.meta.dirname, 'agent-alone.ts');
      const env = failpoint === undefined ? process.env : { ...process.env, BERTH_FAILPOINT: failpoint };
      const made = spawn(process.execPath, [program, JSON.stringify(config)], {
        env,
        stdio: ['pipe', 'pipe', 'pipe'],
      });
      child = made;
      over = new Promise((resolve) => made.on('exit', (_code, signal) => resolve(signal)));
      made.stderr.setEncoding('utf8').on('data', (text: string) => (errors = (errors + text).slice(-4000)));
      const ready = new Promise<void>((resolve) =>
        createInterface({ input: made.stdout }).on('line', (line) => hear(line, resolve)),
      );
      await Promise.race([
        ready,
        over.then(() => Promise.reject(new Error(`the agent ended before it was ready:\n${errors}`))),
      ]);
    },
    async kill() {
      child?.kill('SIGKILL');
      await over;
    },
    ended: () => over,
    desire(...tenants) {
      revision += 1;
      for (const tenant of tenants) wanted.set(tenant.tenant, tenant);
      const state = { epoch: 1, revision, tenants: Object.fromEntries(wanted), tombstones: {} };
      child?.stdin?.write(`${JSON.stringify(state)}\n`);
    },
    async until(what, tenant, fits) {
      let listener: () => void = () => undefined;
      let timer: NodeJS.Timeout | undefined;
      try {
        return await new Promise<TenantReport>((resolve, reject) => {
          timer = setTimeout(() => {
            const last = JSON.stringify(reports.get(tenant));
            reject(new Error(`waited in vain until ${tenant} ${what}; it is ${last}\n${errors}`));
          }, 40_000);
          listener = () => {
            const report = reports.get(tenant);
            if (report !== undefined && fits(report)) resolve(report);
          };
          listeners.add(listener);
          listener();
        });
      } finally {
        clearTimeout(timer);
        listeners.delete(listener);
      }
    },
    events: (tenant) => events.filter((each) => each.tenant === tenant && each.kind !== 'tenant.step'),
    forget() {
      reports.clear();
      events = [];
    },
  };
}
