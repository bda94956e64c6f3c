import type { RolloutTenant } from '@berth/shared/api/rollouts';
import { BerthError } from '@berth/shared/domain/errors';
import { z } from 'zod';
import type { Context } from '../context.ts';
import { logLines } from '../output/output.ts';
import { allPages } from './pages.ts';

/** So many failed tenants are asked about; most fail alike. */
const MOST = 3;
/** The newest events of a kind that the failure is looked for among. */
const EVENTS = 20;

const ProblemDetails = z.object({ problem: z.object({ logTail: z.array(z.string()) }) });

/**
 * The last log lines of what a rollout's failed tenants ran, a block for each of the first few: the containers themselves
 * are gone by then. Empty when nobody failed, nothing was logged, or nobody answers.
 */
export async function lastLines(context: Context, tenants: readonly RolloutTenant[]): Promise<string> {
  const blocks: string[] = [];
  const failed = tenants.filter(({ progress }) => progress.kind === 'failed' || progress.kind === 'stuck');
  for (const one of failed.slice(0, MOST)) {
    const lines = await linesOf(context, one);
    if (lines.length > 0)
      blocks.push(`last log lines of ${one.tenant}\n${logLines(lines, context.output.style)}`);
  }
  return blocks.join('\n\n');
}

/** The same of a rollout's failed tenants, whoever they are. */
export async function lastLinesOf(context: Context, rollout: number): Promise<string> {
  const params = { rollout };
  try {
    const tenants = await allPages((query) =>
      context.api().rolloutTenants({ params, query }, context.signal),
    );
    return await lastLines(context, tenants);
  } catch (thrown) {
    if (!(thrown instanceof BerthError)) throw thrown;
    return '';
  }
}

async function linesOf(context: Context, { tenant, progress }: RolloutTenant): Promise<readonly string[]> {
  if (!('generation' in progress)) return [];
  for (const kind of ['tenant.failed', 'tenant.returned']) {
    const query = { tenant, kind, limit: EVENTS };
    const { items } = await context.api().listEvents({ query }, context.signal);
    const event = items.findLast((each) => each.generation === progress.generation);
    const found = ProblemDetails.safeParse(event?.details).data?.problem.logTail ?? [];
    if (found.length > 0) return found;
  }
  return [];
}
