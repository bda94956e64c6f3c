import type { TenantHistoryShown } from '@berth/shared/api/rollouts';
import { whoText } from '@berth/shared/domain/actor';
import { unreachable } from '@berth/shared/domain/errors';
import { previousRelease } from '@berth/shared/api/previous-release';
import type { Command } from 'commander';
import { z } from 'zod';
import { UsageError } from '../exit-codes.ts';
import { confirm } from '../output/ask.ts';
import { duration, timestamp } from '../output/format.ts';
import { clean, type Style } from '../output/style.ts';
import { table } from '../output/table.ts';
import { argument, does, examples, type ContextOf } from './define.ts';
import { followChange } from './deploy.ts';
import { parseCount } from './parse.ts';
import { addWaitOptions, WaitFlags } from './wait-options.ts';

/** A tenant's releases: back to the one before, what happened, and a word on a release command nobody knows of. */
export function registerTenantRelease(tenant: Command, contextOf: ContextOf): void {
  const rollback = tenant
    .command('rollback')
    .description('back to the release before, this tenant alone')
    .argument('<tenant>')
    .option('--reason <text>', 'why, for the history')
    .option('--past-irreversible', 'also past a release command that is marked irreversible')
    .option('-y, --yes', 'do not ask');
  addWaitOptions(rollback);
  examples(rollback, [['berth tenant rollback acme', 'shows from where to where, and asks']]);
  const flags = WaitFlags.extend({
    yes: z.boolean().default(false),
    reason: z.string().optional(),
    pastIrreversible: z.literal(true).optional(),
  });
  does(rollback, contextOf, flags, async (context, args, given) => {
    const { output, signal } = context;
    const name = argument(args, 0);
    const params = { tenant: name };
    const api = context.api();
    const now = await api.showTenant({ params }, signal);
    const { items } = await api.tenantHistory({ params, query: { limit: 1000 } }, signal);
    const before = previousRelease(items, now.release);
    const to = before === null ? 'the release before' : `release ${before}`;
    output.print(
      `${output.style.bold(name)}: release ${now.release} → ${to}; what serves now goes on until it is healthy.`,
    );
    if ((await confirm(context, `Roll ${name} back?`, given.yes)) === 'no') {
      output.print('Nothing was changed.');
      return;
    }
    const body = {
      ...(given.reason === undefined ? {} : { reason: given.reason }),
      ...(given.pastIrreversible === undefined ? {} : { pastIrreversible: given.pastIrreversible }),
    };
    const changed = await api.rollbackTenant({ params, body }, signal);
    await followChange(context, changed, 'live', given);
  });

  const history = tenant
    .command('history')
    .description('its releases: who, when, what, how long')
    .argument('<tenant>')
    .option('--limit <n>', 'how many', '50');
  does(history, contextOf, z.object({ limit: z.string() }), async (context, args, given) => {
    const { output } = context;
    const query = { limit: parseCount(given.limit, '--limit') };
    const answer = await context
      .api()
      .tenantHistory({ params: { tenant: argument(args, 0) }, query }, context.signal);
    output.json(answer);
    const rows = answer.items.map((entry) => [
      timestamp(entry.at),
      clean(whoText(entry.by)),
      whatText(entry, output.style),
      String(entry.release),
      String(entry.generation),
      entry.rollout === null ? '' : String(entry.rollout),
      entry.ms === null ? '' : duration(entry.ms),
      clean(entry.message).replaceAll('\n', ' '),
    ]);
    const head = ['WHEN', 'WHO', 'WHAT', 'RELEASE', 'GEN', 'ROLLOUT', 'TOOK', 'MESSAGE'];
    output.print(rows.length === 0 ? 'Nothing has happened yet.' : table(head, rows, output.style));
  });

  const outcome = tenant
    .command('release-outcome')
    .description('say how a release command of unknown outcome ended, or have it run again')
    .argument('<tenant>')
    .option('--succeeded', 'it has done its work: go on without running it again')
    .option('--run-again', 'it has not, or may safely run twice: run it again');
  addWaitOptions(outcome);
  examples(outcome, [
    ['berth tenant explain acme', 'why nobody knows'],
    ['berth tenant release-outcome acme --succeeded', ''],
  ]);
  const choices = WaitFlags.extend({
    succeeded: z.boolean().default(false),
    runAgain: z.boolean().default(false),
  });
  does(outcome, contextOf, choices, async (context, args, given) => {
    if (given.succeeded === given.runAgain)
      throw new UsageError(
        'Say one of --succeeded and --run-again.',
        "Look into the tenant's data first: a migration that is run twice may do harm.",
      );
    const body = { choice: given.succeeded ? ('succeeded' as const) : ('run-again' as const) };
    const params = { tenant: argument(args, 0) };
    const changed = await context.api().decideRelease({ params, body }, context.signal);
    await followChange(context, changed, 'live', given);
  });
}

function whatText({ what, hold }: TenantHistoryShown, style: Style): string {
  switch (what) {
    case 'failed':
    case 'returned':
      return style.red(what);
    case 'rolled-back':
      return style.yellow('rolled back');
    case 'returning':
      return style.yellow(hold === 'offline' ? 'returning (host offline)' : 'returning');
    case 'created':
    case 'changed':
    case 'restarted':
    case 'moved':
      return what;
    default:
      return unreachable(what);
  }
}
