import type { Command } from 'commander';
import { z } from 'zod';
import { UsageError } from '../exit-codes.ts';
import { clean } from '../output/style.ts';
import { argument, does, examples, NoOptions, type ContextOf } from './define.ts';

export function registerAppFreeze(app: Command, contextOf: ContextOf): void {
  const freeze = app
    .command('freeze')
    .description('let no rollout begin a tenant until it is unfrozen')
    .argument('<app>')
    .requiredOption('--reason <text>', 'why, for whoever wonders later');
  examples(freeze, [['berth app freeze shop --reason "black friday"', '']]);
  does(freeze, contextOf, z.object({ reason: z.string() }), async (context, args, given) => {
    if (given.reason.trim() === '') throw new UsageError('--reason must say why.');
    const params = { app: argument(args, 0) };
    const one = await context.api().freezeApp({ params, body: { reason: given.reason } }, context.signal);
    context.output.json(one);
    context.output.print(
      `${one.app} is frozen: ${clean(given.reason)}\nNo rollout begins a tenant; what is under way goes on.`,
    );
  });

  const unfreeze = app.command('unfreeze').description('let rollouts go on').argument('<app>');
  does(unfreeze, contextOf, NoOptions, async (context, args) => {
    const one = await context.api().unfreezeApp({ params: { app: argument(args, 0) } }, context.signal);
    context.output.json(one);
    context.output.print(`${one.app} is not frozen; rollouts go on`);
  });
}
