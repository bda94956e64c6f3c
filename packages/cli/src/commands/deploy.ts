import type { Tenant } from '@berth/shared/api/schemas';
import { unreachable } from '@berth/shared/domain/errors';
import type { Problem } from '@berth/shared/domain/step';
import type { Context } from '../context.ts';
import { Ended, EXIT } from '../exit-codes.ts';
import { duration } from '../output/format.ts';
import { logLines } from '../output/output.ts';
import { createStepList } from '../output/steps.ts';
import { clean } from '../output/style.ts';
import { waitForTenant, type Goal, type Outcome } from '../wait.ts';
import { parseTime } from './parse.ts';

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
  flags: { wait: boolean; timeout: string },
  lastStep?: string,
): Promise<void> {
  const { output } = context;
  if (!flags.wait) {
    output.json(changed);
    output.print(
      `Accepted: generation ${changed.generation}. Watch it: berth events -f --tenant ${changed.tenant}`,
    );
    return;
  }
  if (changed.result === 'unchanged') {
    await sayUnchanged(context, changed);
    return;
  }
  const outcome = await waitForTenant({
    api: context.api(),
    tenant: changed.tenant,
    generation: changed.generation,
    afterEvent: changed.afterEvent,
    goal,
    timeoutMs: parseTime(flags.timeout, '--timeout'),
    signal: context.signal,
    clock: context.clock,
    list: createStepList(output, context.clock),
    ...(lastStep === undefined ? {} : { lastStep }),
  });
  const tenant = outcome.outcome === 'live' ? await show(context, changed.tenant) : undefined;
  const logTail = outcome.problem === null ? [] : await lastLines(context, changed.tenant, outcome.problem);
  output.json({ ...changed, ...outcome, logTail, ...(tenant === undefined ? {} : { urls: tenant.urls }) });
  sayOutcome(context, changed, outcome, tenant, logTail);
  if (outcome.outcome !== goal) throw new Ended(EXIT.failed);
}

async function sayUnchanged(context: Context, changed: Changed): Promise<void> {
  const { output } = context;
  const tenant = await show(context, changed.tenant);
  output.json({
    ...changed,
    outcome: 'unchanged',
    phase: tenant.phase,
    urls: tenant.urls,
    problem: tenant.problem,
  });
  output.print(`${changed.tenant}: nothing to change (generation ${changed.generation}, ${tenant.phase})`);
  if (tenant.phase === 'failed') {
    output.print(`Its last deploy failed. Try it again: berth tenant restart ${changed.tenant}`);
  }
}

function show(context: Context, tenant: string): Promise<Tenant> {
  return context.api().showTenant({ params: { tenant } }, context.signal);
}

/** The container's last words: those that came with the problem, else what the host still has. */
async function lastLines(context: Context, tenant: string, problem: Problem): Promise<string[]> {
  if (problem.logTail.length > 0) return problem.logTail;
  try {
    const query = problem.service === null ? { lines: 10 } : { lines: 10, service: problem.service };
    const logs = await context.api().tenantLogs({ params: { tenant }, query }, AbortSignal.timeout(5000));
    return logs.lines.slice(-10).map((line) => `${line.service}: ${line.line}`);
  } catch {
    // The problem itself is what matters; a host that has no logs to show must not hide it.
    return [];
  }
}

function sayOutcome(
  context: Context,
  changed: Changed,
  outcome: Outcome,
  tenant: Tenant | undefined,
  logTail: readonly string[],
): void {
  const { output } = context;
  const { style } = output;
  const name = style.bold(changed.tenant);
  const took = duration(outcome.ms);
  switch (outcome.outcome) {
    case 'live':
      output.print(`${style.green('✓')} ${name} is live, generation ${changed.generation}, ${took}`);
      for (const url of tenant?.urls ?? []) output.print(`  ${style.cyan(url)}`);
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
    case 'timeout':
      output.print(`${style.red('✗')} ${name}: ${headline(outcome, changed, took)}`);
      if (outcome.problem !== null) sayProblem(context, outcome.problem, logTail);
      output.print(`\nWhy, and what to do: berth tenant explain ${changed.tenant}`);
      return;
    default:
      unreachable(outcome.outcome);
  }
}

function headline(outcome: Outcome, changed: Changed, took: string): string {
  if (outcome.outcome === 'returned') {
    return `generation ${changed.generation} went bad after the switch; the one before serves again (${took})`;
  }
  if (outcome.outcome === 'timeout') return `not done after ${took}; the host keeps trying`;
  return `generation ${changed.generation} failed after ${took}; what served before still does`;
}

function sayProblem(context: Context, problem: Problem, logTail: readonly string[]): void {
  const { output } = context;
  const { style } = output;
  const service = problem.service === null ? '' : ` (${clean(problem.service)})`;
  output.print(`  ${style.bold(clean(problem.step))}${service}: ${clean(problem.message)}`);
  if (logTail.length > 0) {
    output.print(`  last log lines:\n${logLines(logTail, style)}`);
  }
}
