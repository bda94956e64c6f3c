import type { Rollout } from '@berth/shared/api/rollouts';
import { whoText } from '@berth/shared/domain/actor';
import { waveText } from '@berth/shared/domain/waves-text';
import type { Command } from 'commander';
import { z } from 'zod';
import type { Context } from '../context.ts';
import { duration, timestamp } from '../output/format.ts';
import { clean } from '../output/style.ts';
import { table } from '../output/table.ts';
import { argument, does, examples, NoOptions, type ContextOf } from './define.ts';
import { lastLines } from './last-lines.ts';
import { allPages } from './pages.ts';
import { parseCount } from './parse.ts';
import { followRollout, statusView } from './rollout-follow.ts';
import { actsTable } from './rollout-acts.ts';
import { requireApp, rolloutOf } from './rollout-of.ts';
import { errorsText, judgedOf, p95Text, stateText, totalOf, whyOf } from './rollout-words.ts';

const WHICH = 'its number, or an app for the one under way, else its newest';

export function registerRolloutLook(rollout: Command, contextOf: ContextOf): void {
  const list = rollout
    .command('list')
    .description('rollouts, newest first')
    .argument('[app]', 'only of this app')
    .option('--limit <n>', 'how many', '50');
  does(list, contextOf, z.object({ limit: z.string() }), async (context, args, given) => {
    const { output, clock } = context;
    const items = await newest(context, args[0], parseCount(given.limit, '--limit'));
    output.json({ items });
    const rows = items.map((one) => [
      String(one.rollout),
      one.app,
      String(one.to),
      stateText(one.state, output.style),
      `${Math.min(one.wave, one.waves.length)} of ${one.waves.length}`,
      `${one.counts.live + one.counts.moved} of ${totalOf(one.counts)}`,
      String(one.failures),
      timestamp(one.createdAt),
      duration((one.endedAt ?? clock.now()) - one.createdAt),
    ]);
    const head = ['ID', 'APP', 'TO', 'STATE', 'WAVE', 'SERVE IT', 'FAILURES', 'STARTED', 'TOOK'];
    output.print(rows.length === 0 ? NONE : table(head, rows, output.style));
  });

  const status = rollout
    .command('status')
    .description('one rollout: its waves, and the tenants that are under way, failed or skipped')
    .argument('<rollout>', WHICH);
  examples(status, [
    ['berth rollout status shop', ''],
    ['berth rollout status 7 --json | jq .state.kind', ''],
  ]);
  does(status, contextOf, NoOptions, async (context, args) => {
    const { output, signal } = context;
    const api = context.api();
    const one = await rolloutOf(api, argument(args, 0), signal);
    const params = { rollout: one.rollout };
    const tenants = await allPages((query) => api.rolloutTenants({ params, query }, signal));
    output.json({ ...one, tenants });
    output.show(statusView(one, tenants, output.style, context.clock.now()));
    const lines = output.format === 'json' ? '' : await lastLines(context, tenants);
    if (lines !== '') output.print(`\n${lines}`);
  });

  const watch = rollout
    .command('watch')
    .description('one rollout as it goes, until it is over or a failure halts it')
    .argument('<rollout>', WHICH);
  examples(watch, [
    ['berth rollout watch shop', ''],
    ['berth rollout watch 7 --json', 'JSON lines: each an event, or the rollout when its state changed'],
  ]);
  does(watch, contextOf, NoOptions, async (context, args) => {
    const one = await rolloutOf(context.api(), argument(args, 0), context.signal);
    await followRollout(context, one, 'end');
  });

  const history = rollout
    .command('history')
    .description('who moved an app where, when, for how long, and why it stopped')
    .argument('<app>', 'an app, or the number of one rollout')
    .option('--limit <n>', 'how many', '50');
  examples(history, [
    ['berth rollout history shop', ''],
    ['berth rollout history 7', 'this one alone'],
  ]);
  does(history, contextOf, z.object({ limit: z.string() }), async (context, args, given) => {
    const { output, clock } = context;
    const named = argument(args, 0);
    const most = parseCount(given.limit, '--limit');
    const items = /^\d+$/.test(named)
      ? [await rolloutOf(context.api(), named, context.signal)]
      : await newest(context, named, most);
    if (items.length === 0) await requireApp(context.api(), named, context.signal);
    output.json({ items });
    const rows = items.map((one) => {
      const why = whyOf(one.state);
      return [
        timestamp(one.createdAt),
        clean(whoText(one.startedBy)),
        `${one.rollout}: release ${one.to} by ${one.policy.waves.map(waveText).join(',')}`,
        duration((one.endedAt ?? clock.now()) - one.createdAt),
        `${stateText(one.state, output.style)}${why === null ? '' : `: ${why.replaceAll('\n', ' ')}`}`,
      ];
    });
    // Beside the table there would be no room for them.
    const figures = items.flatMap((one) => {
      const judged = judgedOf(one);
      return judged === null ? [] : [`${one.rollout}: 5xx ${errorsText(judged)}, p95 ${p95Text(judged)}`];
    });
    const head = ['WHEN', 'WHO', 'WHAT', 'TOOK', 'HOW IT ENDED'];
    const acts = actsTable(items, output.style);
    const parts = [table(head, rows, output.style), ...figures, ...(acts === null ? [] : ['', acts])];
    output.print(rows.length === 0 ? NONE : parts.join('\n'));
  });
}

const NONE = 'No rollouts yet. Start one: berth rollout start APP --to RELEASE';

/** The newest rollouts, page by page until there are so many. */
async function newest(context: Context, app: string | undefined, most: number): Promise<Rollout[]> {
  const api = context.api();
  const found: Rollout[] = [];
  const filter = app === undefined ? {} : { app };
  let after: string | undefined;
  for (;;) {
    const limit = Math.min(1000, most - found.length);
    const query = { ...filter, limit, ...(after === undefined ? {} : { after }) };
    const page = await api.listRollouts({ query }, context.signal);
    found.push(...page.items);
    if (page.next === null || page.items.length === 0 || found.length >= most) return found.slice(0, most);
    after = page.next;
  }
}
