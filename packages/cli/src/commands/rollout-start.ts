import type { Command } from 'commander';
import { z } from 'zod';
import { confirm } from '../output/ask.ts';
import { argument, does, examples, type ContextOf } from './define.ts';
import { parseCount } from './parse.ts';
import { followRollout } from './rollout-follow.ts';
import { addPolicyOptions, policyOf, PolicyFlags } from './rollout-options.ts';
import { policyText, rolloutPlanView } from './rollout-view.ts';

export function registerRolloutStart(rollout: Command, contextOf: ContextOf): void {
  const plan = addPolicyOptions(
    rollout
      .command('plan')
      .description("the waves of a rollout and each tenant's changes, without starting it")
      .argument('<app>'),
  ).option('--changes <n>', 'of how many tenants the changes are shown', '20');
  examples(plan, [
    ['berth rollout plan shop --to 13', ''],
    ['berth rollout plan shop --to 13 --waves canary,tier=free,@acme+globex,100%:approve', ''],
  ]);
  does(plan, contextOf, PolicyFlags.extend({ changes: z.string() }), async (context, args, given) => {
    const { output } = context;
    const { to, policy } = policyOf(given);
    const changesOf = parseCount(given.changes, '--changes', 0);
    const body = { app: argument(args, 0), to, policy, changesOf };
    const answer = await context.api().planRollout({ body }, context.signal);
    output.json(answer);
    output.show(rolloutPlanView(answer, output.style, Math.max(1, changesOf)));
  });

  const start = addPolicyOptions(
    rollout
      .command('start')
      .description('move the tenants of an app to a release, in waves, and watch it')
      .argument('<app>'),
  )
    .option('--queue', 'wait behind the rollout that the app has already; without it that is refused')
    .option('-y, --yes', 'do not ask')
    .option('--follow', 'watch it until it is over, is paused or asks for approval (this is so by itself)')
    .option('--no-follow', 'return as soon as it has begun');
  examples(start, [
    ['berth rollout start shop --to 13', ''],
    [
      'berth rollout start shop --to 13 --waves 5%,25%,100% --bake 2m --max-failures 1 --on-failure rollback',
      '',
    ],
    ['berth rollout start shop --to 13 --waves canary,25%:approve,100% -y --json', 'JSON lines'],
  ]);
  const options = PolicyFlags.extend({
    queue: z.boolean().default(false),
    yes: z.boolean().default(false),
    follow: z.boolean().default(true),
  });
  does(start, contextOf, options, async (context, args, given) => {
    const { output, signal } = context;
    const app = argument(args, 0);
    const { to, policy } = policyOf(given);
    const api = context.api();
    const planned = await api.planRollout({ body: { app, to, policy, changesOf: 1 } }, signal);
    output.show(rolloutPlanView(planned, output.style, 5));
    output.show(output.style.dim(policyText(policy)));
    if ((await confirm(context, `Start this rollout of ${app}?`, given.yes)) === 'no') {
      output.print('Nothing was changed.');
      return;
    }
    const whenBusy = given.queue ? ('queue' as const) : ('refuse' as const);
    const begun = await api.startRollout({ body: { app, to, policy, whenBusy } }, signal);
    if (!given.follow) {
      output.json(begun);
      const how = begun.state.kind === 'queued' ? 'is queued' : 'has begun';
      output.print(`Rollout ${begun.rollout} ${how}. Watch it: berth rollout watch ${begun.rollout}`);
      return;
    }
    await followRollout(context, begun, 'rest');
  });
}
