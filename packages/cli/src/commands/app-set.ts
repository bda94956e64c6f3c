import { VariableName } from '@berth/shared/domain/ids';
import type { Command } from 'commander';
import { z } from 'zod';
import { UsageError } from '../exit-codes.ts';
import { table } from '../output/table.ts';
import { argument, collect, does, examples, type ContextOf } from './define.ts';
import { readVariables } from './parse.ts';

const SetFlags = z.object({
  var: z.array(z.string()).optional(),
  varFile: z.array(z.string()).optional(),
  unset: z.array(z.string()).optional(),
});

export function registerAppSet(app: Command, contextOf: ContextOf): void {
  const set = app
    .command('set')
    .description("change the app's variables; each tenant takes them up with its next change")
    .argument('<app>')
    .option('--var <k=v>', 'a variable; may be said again', collect)
    .option('--var-file <file>', 'variables as NAME=value lines', collect)
    .option('--unset <name>', 'take a variable away; may be said again', collect);
  examples(set, [['berth app set shop --var GREETING=hi', '']]);
  does(set, contextOf, SetFlags, async (context, args, given) => {
    const { output } = context;
    const name = argument(args, 0);
    const variables: Record<string, string | null> = readVariables(given, context.cwd);
    for (const gone of given.unset ?? []) {
      if (!VariableName.safeParse(gone).success)
        throw new UsageError(`--unset ${gone} is not a variable name.`);
      variables[gone] = null;
    }
    if (Object.keys(variables).length === 0)
      throw new UsageError('Say what to change.', 'One of --var, --var-file, --unset.');
    const answer = await context.api().setApp({ params: { app: name }, body: { variables } }, context.signal);
    output.json(answer);
    const rows = Object.entries(answer.variables).map(([key, value]) => [key, JSON.stringify(value)]);
    output.print(
      rows.length === 0 ? `${name} has no variables.` : table(['NAME', 'VALUE'], rows, output.style),
    );
    output.print(
      output.style.dim(
        answer.result === 'changed'
          ? 'Nothing is deployed by this: each tenant takes it up with its next change.'
          : 'Nothing was changed.',
      ),
    );
  });
}
