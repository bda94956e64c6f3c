import type { ApiClient } from '@berth/shared/api/client';
import type { Event } from '@berth/shared/api/schemas';
import { BerthError } from '@berth/shared/domain/errors';
import { Problem } from '@berth/shared/domain/step';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { followEvents } from './follow.ts';
import { duration } from './output/format.ts';
import type { StepList } from './output/steps.ts';
import { createPatience, type Patience } from './patience.ts';

/** What a mutation of a tenant should come to. */
export type Goal = 'live' | 'paused' | 'removed';

export interface StepSeen {
  step: string;
  title: string;
  state: 'done' | 'failed';
  ms: number | null;
}

export interface Outcome {
  /**
   * `blocked`: something is in the way and patience ran out; `timeout`: not over yet when we stopped waiting;
   * `interrupted`: Ctrl-C. The host goes on in all three.
   */
  outcome: Goal | 'failed' | 'returned' | 'blocked' | 'timeout' | 'interrupted';
  ms: number;
  steps: StepSeen[];
  problem: Problem | null;
}

export interface WaitOptions {
  api: ApiClient;
  tenant: string;
  generation: number;
  afterEvent: number;
  goal: Goal;
  timeoutMs: number;
  signal: AbortSignal;
  clock: { now(): number };
  list: StepList;
  /** A step that ends the wait for `live` when it is done: a change of routes makes no new generation. */
  lastStep?: string;
  /** How long a tenant may stay blocked before the wait ends; without it, until the time is up. */
  blockedMs?: number;
}

const StepDetails = z.object({
  step: z.string(),
  state: z.enum(['started', 'done', 'failed']),
  ms: z.number().nullish(),
  /** In the end of a step that was too short to be told of before. */
  title: z.string().optional(),
});

/**
 * Follows one tenant from an event on, showing each step, until it is where it should be or has failed. The events are
 * what it goes by; the tenant's state is asked for now and then as well, since a stream may be cut at the wrong moment.
 */
export async function waitForTenant(options: WaitOptions): Promise<Outcome> {
  const { clock, list } = options;
  const began = clock.now();
  const over = new AbortController();
  const deadline = AbortSignal.timeout(options.timeoutMs);
  const signal = AbortSignal.any([options.signal, over.signal, deadline]);
  const seen: Seen = { steps: [], problem: null, lastRemark: '', shown: new Set(), titles: new Map() };
  const patience = createPatience(options.blockedMs);

  try {
    const end = await Promise.race([
      byEvents(options, seen, patience, signal),
      byState(options, seen, signal),
      patience.ended,
    ]);
    if (end !== undefined)
      return { outcome: end, ms: clock.now() - began, steps: seen.steps, problem: seen.problem };
    const why = options.signal.aborted ? 'interrupted' : 'timeout';
    return { outcome: why, ms: clock.now() - began, steps: seen.steps, problem: seen.problem };
  } finally {
    over.abort();
    patience.close();
    list.close();
  }
}

interface Seen {
  steps: StepSeen[];
  problem: Problem | null;
  lastRemark: string;
  /** Ended steps that were shown; a blocked tenant goes through the same ones again and again. */
  shown: Set<string>;
  /** What each step was called when it began: the event of its failure brings the error instead. */
  titles: Map<string, string>;
}

type End = Exclude<Outcome['outcome'], 'timeout' | 'interrupted'>;

async function byEvents(
  options: WaitOptions,
  seen: Seen,
  patience: Patience,
  signal: AbortSignal,
): Promise<End | undefined> {
  const filter = { tenant: options.tenant, after: options.afterEvent };
  for await (const event of followEvents(options.api, filter, signal, options.clock, options.timeoutMs)) {
    const end = take(event, options, seen);
    if (end !== undefined) return end;
    if (event.generation !== null && event.generation < options.generation) continue;
    patience.take(event, seen.problem);
    if (event.kind === 'tenant.blocked') await sayBlocked(options, seen, signal);
  }
  return undefined;
}

/** One event: shows it, and says whether it ends the wait. */
function take(event: Event, options: WaitOptions, seen: Seen): End | undefined {
  if (event.tenant !== options.tenant) return undefined;
  const older = event.generation !== null && event.generation < options.generation;
  switch (event.kind) {
    case 'tenant.step':
      return showStep(event, options, seen) === options.lastStep && options.lastStep !== undefined
        ? 'live'
        : undefined;
    case 'tenant.live':
    case 'tenant.settled':
      return !older && options.goal === 'live' ? 'live' : undefined;
    case 'tenant.paused':
      return options.goal === 'paused' ? 'paused' : undefined;
    case 'tenant.removed':
      return options.goal === 'removed' ? 'removed' : undefined;
    case 'tenant.failed':
    case 'tenant.returned':
      if (older) return undefined;
      if (isWayBack(event, options)) return 'live';
      seen.problem = problemOf(event);
      return event.kind === 'tenant.failed' ? 'failed' : 'returned';
    case 'tenant.blocked':
      if (!older) seen.problem = problemOf(event);
      return undefined;
    default:
      return undefined;
  }
}

/** A later generation was taken back and the one that is waited for serves again: this is what was asked for. */
function isWayBack(event: Event, { goal, generation }: WaitOptions): boolean {
  if (event.kind !== 'tenant.returned' || goal !== 'live') return false;
  return event.generation !== null && event.generation > generation && problemOf(event)?.code === 'withdrawn';
}

/** Why it is blocked and what becomes of it, at once. It is tried again and again; saying it once is enough. */
async function sayBlocked(options: WaitOptions, seen: Seen, signal: AbortSignal): Promise<void> {
  if (seen.problem === null) return;
  const why = `blocked: ${seen.problem.message}`;
  if (why === seen.lastRemark) return;
  seen.lastRemark = why;
  options.list.remark(why);
  const next = await nextTry(options, signal);
  options.list.remark(
    `  The host goes on trying by itself${next}. Why, and what to do: berth tenant explain ${options.tenant}`,
  );
}

/** When the host tries again, in words; nothing when that is not known. */
async function nextTry({ api, tenant, clock }: WaitOptions, signal: AbortSignal): Promise<string> {
  try {
    const { retryAt } = await api.explainTenant({ params: { tenant } }, signal);
    return retryAt === null ? '' : `, next in ${duration(Math.max(0, retryAt - clock.now()))}`;
  } catch {
    // Only a remark depends on it; what is wrong with the coordinator shows elsewhere.
    return '';
  }
}

/** Shows one step; returns its kind when it is done. */
function showStep(event: Event, options: WaitOptions, seen: Seen): string | undefined {
  const details = StepDetails.safeParse(event.details);
  if (!details.success) return undefined;
  const { step, state, ms } = details.data;
  const named = details.data.title ?? (state === 'started' ? event.message : '');
  if (named !== '') seen.titles.set(step, named);
  const title = seen.titles.get(step) ?? (event.message === '' ? step : event.message);
  const again = seen.lastRemark !== '' && seen.shown.has(`${state} ${title}`);
  if (!again) {
    if (state === 'started') options.list.started(step, title);
    else options.list.ended(step, title, state, ms ?? null);
  }
  seen.shown.add(`${state} ${title}`);
  if (state === 'started') return undefined;
  if (!again) seen.steps.push({ step, title, state, ms: ms ?? null });
  return state === 'done' ? step : undefined;
}

export function problemOf(event: Event): Problem | null {
  const problem = Problem.safeParse(event.details['problem']);
  return problem.success ? problem.data : null;
}

/** Asks every few seconds. The first answers may still be from before the change, so only newer reports count. */
async function byState(options: WaitOptions, seen: Seen, signal: AbortSignal): Promise<End | undefined> {
  const params = { params: { tenant: options.tenant } };
  let changedAt: number | undefined;
  for (;;) {
    try {
      await sleep(changedAt === undefined ? 1000 : 3000, undefined, { signal });
      const now = await options.api.showTenant(params, signal);
      changedAt ??= now.updatedAt;
      const fresh = now.reportedAt !== null && now.reportedAt > changedAt;
      if (!fresh || now.freshness === 'stale' || now.generation !== options.generation) continue;
      const arrived =
        options.goal === 'live'
          ? (now.phase === 'settled' || now.phase === 'baking') && now.live === options.generation
          : options.goal === 'paused' && now.phase === 'paused';
      if (!arrived && now.phase !== 'failed') continue;
      // The events that tell the last steps are on their way: let them come first.
      await sleep(700, undefined, { signal });
      if (arrived) return options.goal;
      seen.problem = now.problem;
      return 'failed';
    } catch (thrown) {
      if (signal.aborted) return undefined;
      if (!(thrown instanceof BerthError)) throw thrown;
      if (thrown.code === 'not_found' && options.goal === 'removed') return 'removed';
      if (thrown.code !== 'unavailable') throw thrown;
    }
  }
}
