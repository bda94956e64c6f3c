import { messageOf } from '@berth/shared/domain/errors';
import type { HostEventKind } from '@berth/shared/domain/events';
import type { Step } from '@berth/shared/domain/step';
import type { Happening } from '../machine/machine.ts';
import type { Clock, Reports } from './ports.ts';

export interface Log {
  info(fields: Record<string, unknown>, message: string): void;
  warn(fields: Record<string, unknown>, message: string): void;
  error(fields: Record<string, unknown>, message: string): void;
}

export type StepState = 'started' | 'done' | 'failed';

/** Tells the coordinator and the log what happened. */
export interface Voice {
  happened(tenant: string, happening: Happening): void;
  stepped(
    tenant: string,
    generation: number | null,
    step: Step,
    state: StepState,
    ms: number | null,
    message: string,
  ): void;
  host(kind: HostEventKind, message: string): void;
  /** Said only when it changes. */
  docker(now: 'up' | 'down', thrown?: unknown): void;
  dockerState(): 'up' | 'down';
  /** What the watchers saw; somebody else's doing is told to people. */
  noticed(why: string): void;
  /** Nginx as it is now; said only when it is back after it had gone. */
  nginx(now: 'up' | 'down'): void;
  /** Said only when the list changes. */
  orphans(tenants: readonly string[]): void;
}

/** A repair makes changes of its own, which are seen as well. */
const REPAIR_ECHO_MS = 5_000;

export function createVoice({ reports, clock, log }: { reports: Reports; clock: Clock; log: Log }): Voice {
  let docker: 'up' | 'down' = 'up';
  let orphansSaid = '';
  let nginx: 'unknown' | 'up' | 'gone' = 'unknown';
  let repairedAt = Number.NEGATIVE_INFINITY;

  function host(kind: HostEventKind, message: string): void {
    log.warn({ kind }, message);
    reports.event({
      at: clock.now(),
      tenant: null,
      generation: null,
      kind,
      message: message.slice(0, 1000),
      details: {},
    });
  }

  return {
    host,
    happened(tenant, { kind, generation, message, problem }) {
      log.info({ tenant, generation, kind }, message);
      const details = problem === null ? {} : { problem };
      reports.event({ at: clock.now(), tenant, generation, kind, message: message.slice(0, 1000), details });
    },
    stepped(tenant, generation, step, state, ms, message) {
      const details = { step: step.kind, state, ms };
      reports.event({
        at: clock.now(),
        tenant,
        generation,
        kind: 'tenant.step',
        message: message.slice(0, 1000),
        details,
      });
    },
    docker(now, thrown) {
      if (docker === now) return;
      docker = now;
      if (now === 'up') host('host.docker_up', 'Docker answers again.');
      else host('host.docker_down', `Docker does not answer: ${messageOf(thrown)}`);
    },
    dockerState: () => docker,
    noticed(why) {
      if (why === 'nginx went away' || why === 'nginx is another process') {
        if (nginx === 'up') nginx = 'gone';
      } else if (why === 'nft rules changed') {
        if (clock.now() - repairedAt > REPAIR_ECHO_MS)
          host('host.rules_restored', 'Somebody changed or flushed the nft rules; they were put back.');
        repairedAt = clock.now();
      }
    },
    nginx(now) {
      if (now === 'down') return;
      if (nginx === 'gone') host('host.nginx_restarted', 'Nginx had gone; it runs again.');
      nginx = 'up';
    },
    orphans(tenants) {
      const text = tenants.join(', ');
      if (text === orphansSaid) return;
      orphansSaid = text;
      if (text !== '')
        host('host.orphan', `These tenants run here and nobody desires them; they are left alone: ${text}.`);
    },
  };
}
