import { messageOf } from '@berth/shared/domain/errors';
import type { Site } from '@berth/shared/domain/network';
import { titleOf, type Step } from '@berth/shared/domain/step';
import type { Clock, Execute, Failpoint } from './ports.ts';
import type { Log, Voice } from './voice.ts';

/** Runs the steps that concern the whole host, one set at a time. */
export interface HostLane {
  /**
   * Does nothing while a set is under way, while changes come together, or while a failed set waits for its next try.
   * `before`: what Nginx knows now, null when it does not run.
   */
  start(steps: readonly Step[], before: readonly Site[] | null, signal: AbortSignal): void;
  /** When it wants to be called again, if at all. */
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

/** Sites that change one after the other become one reload: it waits for this much quiet, */
const QUIET_MS = 200;
/** and no longer than this from the first of them. A new tenant's containers take longer to start. */
const GATHER_MS = 1_000;

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
  let gathering: { text: string; first: number; last: number } | null = null;

  /** When what Nginx, which runs, must learn has come together; in the past when it need not wait. */
  function gatheredAt(steps: readonly Step[], now: number): number {
    const text = JSON.stringify(steps);
    if (gathering === null) gathering = { text, first: now, last: now };
    else if (gathering.text !== text) gathering = { ...gathering, text, last: now };
    return Math.min(gathering.last + QUIET_MS, gathering.first + GATHER_MS);
  }

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
      if (steps.length === 0) gathering = null;
      if (running !== null || steps.length === 0) return;
      const now = clock.now();
      if (setback !== null && now < setback.until) return;
      // A host's first site waits for nothing.
      if (before !== null && before.length > 0 && now < gatheredAt(steps, now)) return;
      gathering = null;
      running = work(steps, before ?? [], signal)
        .catch((thrown: unknown) => {
          if (!signal.aborted) log.error({ err: messageOf(thrown) }, 'a step of the host failed');
        })
        .finally(() => {
          running = null;
          ended();
        });
    },
    retryAt() {
      const ready =
        gathering === null || running !== null
          ? null
          : Math.min(gathering.last + QUIET_MS, gathering.first + GATHER_MS);
      if (setback === null || ready === null) return setback?.until ?? ready;
      return Math.max(setback.until, ready);
    },
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
