import type { DesiredTenant } from '@berth/shared/domain/desired';
import type { ErrorCode } from '@berth/shared/domain/errors';
import type { TenantEventKind } from '@berth/shared/domain/events';
import type { Failure, TenantStatus } from '@berth/shared/domain/status';
import type { Problem, Step, StepOutcome } from '@berth/shared/domain/step';
import { ended, irreversibleOf, wordKeyOf } from './released.ts';

/** What a transition means to the outside, beside the new status. */
export interface Happening {
  kind: TenantEventKind;
  generation: number | null;
  message: string;
  problem: Problem | null;
}

export interface Transition {
  status: TenantStatus;
  happenings: Happening[];
}

/** A move to a generation begins, or goes on after a crash. */
export function begin(status: TenantStatus, desired: DesiredTenant, now: number): TenantStatus {
  if (status.move.kind === 'preparing' && status.move.generation === desired.generation) return status;
  const live = status.known.filter((each) => each.generation === status.live);
  return {
    ...status,
    move: { kind: 'preparing', generation: desired.generation, since: now },
    known: [...live, desired],
  };
}

/** What a finished step makes of a tenant's status. */
export function advance(
  status: TenantStatus,
  step: Step,
  outcome: StepOutcome,
  bakeMs: number,
  now: number,
): Transition {
  return outcome.kind === 'ok'
    ? succeeded(status, step, bakeMs, now)
    : failed(status, step, outcome.problem, bakeMs, now);
}

/** Bake time that has passed. */
export function rest(status: TenantStatus, now: number): Transition {
  const { move } = status;
  if (move.kind !== 'baking' || now < move.until) return same(status);
  const known = status.known.filter((each) => each.generation === status.live);
  const next: TenantStatus = { ...status, move: { kind: 'idle' }, known };
  // What failed and could not be left has not settled.
  if (status.failure?.generation === move.generation) return same(next);
  return {
    status: next,
    happenings: [
      happening(
        'tenant.settled',
        move.generation,
        `Generation ${move.generation} has baked; the one before is let go.`,
      ),
    ],
  };
}

/** What was seen to go wrong with the generation that bakes: back to the one before, where there is one and one may. */
export function condemn(status: TenantStatus, problem: Problem): Transition {
  const { move } = status;
  if (move.kind !== 'baking' || move.from === null) return same(status);
  const release = irreversibleOf(status, move.generation);
  if (release !== null) {
    return status.failure?.generation === move.generation
      ? same(status)
      : stay(status, { ...move, release }, problem);
  }
  return {
    status: {
      ...status,
      move: { kind: 'returning', generation: move.generation, to: move.from, why: problem },
    },
    happenings: [],
  };
}

function succeeded(status: TenantStatus, step: Step, bakeMs: number, now: number): Transition {
  const { move } = status;
  switch (step.kind) {
    case 'route.switch':
      if (move.kind === 'preparing' && step.generation === move.generation) {
        return same({
          ...status,
          move: {
            kind: 'switched',
            generation: move.generation,
            from: wayBack(status, move.generation),
            since: now,
          },
        });
      }
      if (move.kind === 'returning' && move.to === null) return returned(status, now);
      return same(status);
    case 'route.verify':
      if (move.kind === 'switched' && step.generation === move.generation) {
        return {
          status: {
            ...status,
            live: move.generation,
            move: { kind: 'baking', generation: move.generation, from: move.from, until: now + bakeMs },
            failure: null,
          },
          happenings: [happening('tenant.live', move.generation, `Generation ${move.generation} serves.`)],
        };
      }
      if (move.kind === 'returning' && step.generation === move.to) return returned(status, now);
      return same(status);
    case 'release.run':
      return same(ended(status, step.key, 'succeeded'));
    default:
      return same(status);
  }
}

/**
 * The generation that one may go back to from this one. Keepers of an older generation look like a younger one's own to
 * whoever does not remember what that was made of, and two must not run on one volume.
 */
export function wayBack({ live, known }: TenantStatus, generation: number): number | null {
  if (live === null || live < generation) return live;
  return known.some((each) => each.generation === live) ? live : null;
}

/** Steps that belong to making a new generation; the failure of any other says nothing about it. */
const MAKING: ReadonlySet<Step['kind']> = new Set([
  'network.ensure',
  'volume.ensure',
  'preflight',
  'image.ensure',
  'secrets.open',
  'release.create',
  'release.run',
  'containers.start',
  'containers.probe',
  'route.switch',
  'route.verify',
  'containers.stop',
  'containers.remove',
]);

function failed(before: TenantStatus, step: Step, given: Problem, bakeMs: number, now: number): Transition {
  const { status, problem } =
    step.kind === 'release.run' ? tried(before, step.key, given) : { status: before, problem: given };
  const { move } = status;
  if (!MAKING.has(step.kind)) return same(status);
  // The old generation was verified once and the route leads to it again: it is the best there is.
  if (move.kind === 'returning' && step.kind === 'route.verify') return returned(status, now);
  if (move.kind === 'preparing') return giveUp(status, move.generation, problem, now);
  const telling =
    step.kind === 'route.verify' || step.kind === 'route.switch' || step.kind === 'containers.probe';
  if (move.kind === 'switched' && telling) {
    const release = move.from === null ? null : irreversibleOf(status, move.generation);
    if (release !== null) return stay(status, { ...move, release, until: now + bakeMs }, problem);
    return same({
      ...status,
      move: { kind: 'returning', generation: move.generation, to: move.from, why: problem },
    });
  }
  return same(status);
}

/** What a release command that did not succeed leaves to be known of it. */
function tried(
  status: TenantStatus,
  key: string,
  problem: Problem,
): { status: TenantStatus; problem: Problem } {
  if (problem.code === 'release_command_failed') return { status: ended(status, key, 'failed'), problem };
  if (problem.code !== 'release_outcome_unknown') return { status, problem };
  const next = ended(status, key, 'unknown');
  const entry = next.released.find((each) => each.key === key);
  return {
    status: next,
    problem: entry === undefined ? problem : { ...problem, releaseKey: wordKeyOf(entry) },
  };
}

/** After the switch, where nobody may go back by himself: the new colour stays, and the tenant has failed. */
function stay(
  status: TenantStatus,
  move: { generation: number; from: number | null; until: number; release: number },
  problem: Problem,
): Transition {
  const { generation, from, until, release } = move;
  const why = withWords(
    problem,
    `Not returned: the release command of release ${release} is marked irreversible; generation ${generation} stays in place until a newer release mends it or an operator takes this one back.`,
  );
  return {
    status: {
      ...status,
      live: generation,
      move: { kind: 'baking', generation, from, until },
      failure: { generation, problem: why, attempts: 1, retryAt: null },
    },
    happenings: [happening('tenant.failed', generation, why.message, why)],
  };
}

function withWords(problem: Problem, words: string): Problem {
  return { ...problem, message: `${problem.message.slice(0, 1990 - words.length)} ${words}` };
}

/** Before the switch: the old colour was never touched, so it is enough to remember what failed. */
function giveUp(status: TenantStatus, generation: number, given: Problem, now: number): Transition {
  const release = status.live === null ? null : irreversibleOf(status, generation);
  const problem =
    release === null
      ? given
      : withWords(
          given,
          `The release command of release ${release} has run already and is irreversible: what serves now works with what it left behind.`,
        );
  const attempts = status.failure?.generation === generation ? status.failure.attempts + 1 : 1;
  const passing = PASSING.has(problem.code);
  // What may pass by itself is tried again. A generation that is itself at fault is tried again only while nothing
  // else serves the tenant: there is nothing to lose then, and the cause may lie outside (a database that was away).
  const again = passing || (status.live === null && problem.code !== 'release_outcome_unknown');
  const failure: Failure = {
    generation,
    problem,
    attempts,
    retryAt: again ? now + backoffMs(attempts) : null,
  };
  const known = status.known.filter((each) => each.generation === status.live);
  return {
    status: { ...status, move: { kind: 'idle' }, failure, known },
    happenings: [
      happening(
        passing || problem.code === 'release_outcome_unknown' ? 'tenant.blocked' : 'tenant.failed',
        generation,
        problem.message,
        problem,
      ),
    ],
  };
}

function returned(status: TenantStatus, now: number): Transition {
  const { move } = status;
  if (move.kind !== 'returning') return same(status);
  const attempts = status.failure?.generation === move.generation ? status.failure.attempts + 1 : 1;
  const retryAt = move.to === null ? now + backoffMs(attempts) : null;
  const known = status.known.filter((each) => each.generation === move.to);
  const back = move.to === null ? 'the route was taken away' : `generation ${move.to} serves again`;
  // What was taken back has not failed.
  const withdrawn = move.why.code === 'withdrawn';
  return {
    status: {
      ...status,
      live: move.to,
      move: { kind: 'idle' },
      failure: withdrawn ? null : { generation: move.generation, problem: move.why, attempts, retryAt },
      known,
    },
    happenings: [
      happening(
        'tenant.returned',
        move.generation,
        withdrawn
          ? `${move.why.message} Now ${back}.`
          : `Generation ${move.generation} failed and ${back}: ${move.why.message}`,
        move.why,
      ),
    ],
  };
}

/** Causes that may pass without anybody changing the tenant. */
const PASSING: ReadonlySet<ErrorCode> = new Set([
  'image_not_found',
  'image_pull_failed',
  'registry_unreachable',
  'memory_short',
  'disk_short',
  'docker_unavailable',
  'state_unwritable',
  'address_exhausted',
  'ingress_invalid',
  'aborted',
  'timeout',
  'unavailable',
  'secret_unavailable',
]);

/** 5 s, doubling, at most 5 minutes. */
export function backoffMs(attempts: number): number {
  return Math.min(300_000, 5_000 * 2 ** Math.min(attempts - 1, 10));
}

function happening(
  kind: TenantEventKind,
  generation: number | null,
  message: string,
  problem: Problem | null = null,
): Happening {
  return { kind, generation, message, problem };
}

function same(status: TenantStatus): Transition {
  return { status, happenings: [] };
}
