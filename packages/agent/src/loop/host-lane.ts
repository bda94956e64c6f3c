import { messageOf } from '@berth/shared/domain/errors';
import type { Site } from '@berth/shared/domain/network';
import { titleOf, type Step } from '@berth/shared/domain/step';
import type { Clock, Execute, Failpoint } from './ports.ts';
import type { Log, Voice } from './voice.ts';

/** Runs the steps that concern the whole host, one set at a time. */
export interface HostLane {
  /** Does nothing while a set is under way or a failed one waits for its next try. */
  start(steps: readonly Step[], before: readonly Site[], signal: AbortSignal): void;
  retryAt(): number | null;
  readonly idle: () => Promise<void>;
}

export interface HostLaneDeps {
  clock: Clock;
  execute: Execute;
  failpoint: Failpoint;
  log: Log;
  voice: Voice;
  generationOf(tenant: string): number | null;
  ended(): void;
}

export function createHostLane({
  clock,
  execute,
  failpoint,
  log,
  voice,
  generationOf,
  ended,
}: HostLaneDeps): HostLane {
  let running: Promise<void> | null = null;
  let setback: { until: number; attempts: number } | null = null;

  async function work(steps: readonly Step[], before: readonly Site[], signal: AbortSignal): Promise<void> {
    for (const step of steps) {
      failpoint(`before:${step.kind}`);
      const outcome = await execute(step, signal);
      failpoint(`after:${step.kind}`);
      const failed = outcome.kind === 'failed';
      const note = failed || outcome.note === undefined ? '' : ` (${outcome.note})`;
      const message = failed ? outcome.problem.message : `${titleOf(step)}${note}`;
      for (const tenant of touched(step, before)) {
        voice.stepped(tenant, generationOf(tenant), step, failed ? 'failed' : 'done', null, message);
      }
      if (failed) {
        const attempts = (setback?.attempts ?? 0) + 1;
        setback = { attempts, until: clock.now() + Math.min(60_000, 1_000 * 2 ** Math.min(attempts, 6)) };
        log.error({ step: step.kind, code: outcome.problem.code }, outcome.problem.message);
        return;
      }
      setback = null;
    }
  }

  return {
    start(steps, before, signal) {
      if (running !== null || steps.length === 0) return;
      if (setback !== null && clock.now() < setback.until) return;
      running = work(steps, before, signal)
        .catch((thrown: unknown) => {
          if (!signal.aborted) log.error({ err: messageOf(thrown) }, 'a step of the host failed');
        })
        .finally(() => {
          running = null;
          ended();
        });
    },
    retryAt: () => setback?.until ?? null,
    idle: () => running ?? Promise.resolve(),
  };
}

/** Tenants whose sites a step changes. */
export function touched(step: Step, before: readonly Site[]): Set<string> {
  if (step.kind !== 'ingress.apply') return new Set();
  const text = (site: Site): string => `${site.tenant} ${site.virtual} ${site.path} ${site.hosts.join(',')}`;
  const old = new Set(before.map(text));
  return new Set(step.sites.filter((site) => !old.has(text(site))).map((site) => site.tenant));
}
