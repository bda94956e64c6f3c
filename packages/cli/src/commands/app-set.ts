import type { Command } from 'commander';
import { argument, does, examples, type ContextOf } from './define.ts';
import { addVariableOptions, onlyVariableChanges, printShared, VariableFlags } from './variable-flags.ts';

export function registerAppSet(app: Command, contextOf: ContextOf): void {
  const set = addVariableOptions(
    app
      .command('set')
      .description("change the app's variables; each tenant takes them up with its next change")
      .argument('<app>'),
  );
  examples(set, [['berth app set shop --var GREETING=hi', '']]);
  does(set, contextOf, VariableFlags, async (context, args, given) => {
    const name = argument(args, 0);
    const variables = onlyVariableChanges(given, context.cwd);
    const answer = await context.api().setApp({ params: { app: name }, body: { variables } }, context.signal);
    context.output.json(answer);
    printShared(context, name, answer);
  });
}
