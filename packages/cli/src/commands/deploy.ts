import type { Tenant } from '@berth/shared/api/schemas';
import type { Finding } from '@berth/shared/compose/findings';
import { unreachable } from '@berth/shared/domain/errors';
import type { Problem } from '@berth/shared/domain/step';
import type { Context } from '../context.ts';
import { Ended, EXIT } from '../exit-codes.ts';
import { duration, phaseWord } from '../output/format.ts';
import { logLines } from '../output/output.ts';
import { createStepList } from '../output/steps.ts';
import { clean } from '../output/style.ts';
import { waitForTenant, type Goal, type Outcome } from '../wait.ts';
import type { WaitFlags } from './wait-options.ts';

/** A tenant that is blocked for this long will most likely stay so until somebody acts. */
const BLOCKED_MS = 20_000;

export interface Changed {
  tenant: string;
  generation: number;
  host: string;
  afterEvent: number;
  result: 'changed' | 'unchanged';
}

/**
 * The second half of every verb that changes a tenant: follow it to its goal, show each step, end with the URL and the
 * time, or with what went wrong. With --json, one document at the end. Throws Ended(1) when the goal was not reached.
 */
export async function followChange(
  context: Context,
  changed: Changed,
  goal: Goal,
  flags: WaitFlags,
  more: { lastStep?: string | undefined; warnings?: readonly Finding[] } = {},
): Promise<void> {
  const { output } = context;
  const told = more.warnings === undefined ? {} : { warnings: more.warnings };
  if (!flags.wait) {
    output.json({ ...changed, ...told });
    output.print(
      `Accepted: generation ${changed.generation}. Watch it: berth events -f --tenant ${changed.tenant}`,
    );
    return;
  }
  if (changed.result === 'unchanged') {
    await sayUnchanged(context, changed, told);
    return;
  }
  const outcome = await waitForTenant({
    api: context.api(),
    tenant: changed.tenant,
    generation: changed.generation,
    afterEvent: changed.afterEvent,
    goal,
    timeoutMs: flags.timeout,
    signal: context.signal,
    clock: context.clock,
    list: createStepList(output, context.clock),
    ...(flags.waitBlocked ? {} : { blockedMs: BLOCKED_MS }),
    ...(more.lastStep === undefined ? {} : { lastStep: more.lastStep }),
  });
  const tenant = await shownAfter(context, changed.tenant, outcome);
  const live = tenant === undefined ? {} : { live: tenant.live };
  const urls = outcome.outcome === 'live' && tenant !== undefined ? { urls: tenant.urls } : {};
  // Only the words of what failed: those of a healthy container beside it would point the wrong way.
  output.json({ ...changed, ...outcome, logTail: outcome.problem?.logTail ?? [], ...live, ...urls, ...told });
  sayOutcome(context, changed, outcome, tenant);
  if (outcome.outcome !== goal) throw new Ended(EXIT.failed);
}

/** The tenant as it is after the wait: its URLs, or what serves in place of what failed. */
async function shownAfter(context: Context, tenant: string, outcome: Outcome): Promise<Tenant | undefined> {
  if (outcome.outcome === 'live') return show(context, tenant);
  if (outcome.outcome === 'removed' || outcome.outcome === 'interrupted') return undefined;
  try {
    return await context.api().showTenant({ params: { tenant } }, AbortSignal.timeout(5000));
  } catch {
    // The outcome is known already; what serves beside it is a courtesy.
    return undefined;
  }
}

async function sayUnchanged(context: Context, changed: Changed, told: object): Promise<void> {
  const { output } = context;
  const tenant = await show(context, changed.tenant);
  output.json({
    ...changed,
    outcome: 'unchanged',
    phase: tenant.phase,
    urls: tenant.urls,
    problem: tenant.problem,
    ...told,
  });
  output.print(
    `${changed.tenant}: nothing to change (generation ${changed.generation}, ${phaseWord(tenant.phase)})`,
  );
  if (tenant.phase === 'failed') {
    output.print(`Its last deploy failed. Try it again: berth tenant restart ${changed.tenant}`);
  }
}

function show(context: Context, tenant: string): Promise<Tenant> {
  return context.api().showTenant({ params: { tenant } }, context.signal);
}

function sayOutcome(context: Context, changed: Changed, outcome: Outcome, tenant: Tenant | undefined): void {
  const { output } = context;
  const { style } = output;
  const name = style.bold(changed.tenant);
  const took = duration(outcome.ms);
  switch (outcome.outcome) {
    case 'live':
      output.print(`${style.green('✓')} ${name} is live, generation ${changed.generation}, ${took}`);
      for (const url of tenant?.urls ?? []) output.quote(`  ${style.cyan(url)}`);
      return;
    case 'paused':
      output.print(`${style.green('✓')} ${name} is paused, ${took}. Visitors see a maintenance page.`);
      return;
    case 'removed':
      output.print(`${style.green('✓')} ${name} is removed, ${took}. Its volumes stay on the host.`);
      return;
    case 'interrupted':
      output.print(`No longer watching; the host goes on. See: berth tenant explain ${changed.tenant}`);
      return;
    case 'failed':
    case 'returned':
    case 'blocked':
    case 'timeout':
      output.print(`${style.red('✗')} ${name}: ${headline(outcome, changed, tenant)}`);
      // What blocks was said when it was met.
      if (outcome.problem !== null && outcome.outcome !== 'blocked') sayProblem(context, outcome.problem);
      output.print(`\nWhy, and what to do: berth tenant explain ${changed.tenant}`);
      return;
    default:
      unreachable(outcome.outcome);
  }
}

/** How it ended, with what serves now. */
export function headline(
  outcome: Pick<Outcome, 'outcome' | 'ms'>,
  changed: Pick<Changed, 'generation'>,
  tenant: Pick<Tenant, 'live' | 'state'> | undefined,
): string {
  const which = `generation ${changed.generation}`;
  const took = duration(outcome.ms);
  switch (outcome.outcome) {
    case 'returned':
      return `${which} went bad after the switch; ${serving(tenant, changed, 'again')} (${took})`;
    case 'blocked':
      return `${which} is blocked and not done after ${took}; ${serving(tenant, changed, 'still')}. The host goes on trying`;
    case 'timeout':
      return `not done after ${took}; the host goes on trying`;
    default: {
      // A generation that failed is left alone, unless there is nothing to lose by trying again.
      const again = tenant?.live === null && tenant.state === 'running' ? '; the host tries it again' : '';
      return `${which} failed after ${took}; ${serving(tenant, changed, 'still')}${again}`;
    }
  }
}

function serving(
  tenant: Pick<Tenant, 'live' | 'state'> | undefined,
  changed: Pick<Changed, 'generation'>,
  how: 'still' | 'again',
): string {
  if (tenant === undefined) return 'what served before is left as it was';
  if (tenant.state === 'paused') return 'visitors see the maintenance page';
  if (tenant.live === null) return 'nothing serves, since nothing did before';
  return tenant.live === changed.generation
    ? `generation ${tenant.live} serves`
    : `generation ${tenant.live} ${how === 'still' ? 'still serves' : 'serves again'}`;
}

function sayProblem(context: Context, problem: Problem): void {
  const { output } = context;
  const { style } = output;
  const service = problem.service === null ? '' : ` (${clean(problem.service)})`;
  output.print(`  ${style.bold(clean(problem.step))}${service}: ${clean(problem.message)}`);
  if (problem.logTail.length > 0) output.print(`  last log lines:\n${logLines(problem.logTail, style)}`);
}
