import { VariableName } from '@berth/shared/domain/ids';
import type { Command } from 'commander';
import { z } from 'zod';
import type { Context } from '../context.ts';
import { UsageError } from '../exit-codes.ts';
import { table } from '../output/table.ts';
import type { Style } from '../output/style.ts';
import { collect } from './define.ts';
import { readVariables } from './parse.ts';

/** The flags that change variables, whoever has them: an app, a pool, a tenant. */
export const VariableFlags = z.object({
  var: z.array(z.string()).optional(),
  varFile: z.array(z.string()).optional(),
  unset: z.array(z.string()).optional(),
});

export function addVariableOptions(command: Command): Command {
  return command
    .option('--var <k=v>', 'a variable; may be said again', collect)
    .option('--var-file <file>', 'variables as NAME=value lines', collect)
    .option('--unset <name>', 'take a variable away; may be said again', collect);
}

/** What the flags change; null takes a variable away. Errors: UsageError. */
export function variableChanges(
  given: z.infer<typeof VariableFlags>,
  cwd: string,
): Record<string, string | null> {
  const variables: Record<string, string | null> = readVariables(given, cwd);
  for (const name of given.unset ?? []) {
    if (!VariableName.safeParse(name).success)
      throw new UsageError(`--unset ${name} is not a variable name.`);
    variables[name] = null;
  }
  return variables;
}

/** The same for a command that does nothing else. Errors: UsageError when nothing is to change. */
export function onlyVariableChanges(
  given: z.infer<typeof VariableFlags>,
  cwd: string,
): Record<string, string | null> {
  const variables = variableChanges(given, cwd);
  if (Object.keys(variables).length === 0)
    throw new UsageError('Say what to change.', 'One of --var, --var-file, --unset.');
  return variables;
}

/** The variables that an app or a pool has now, and when its tenants have them. */
export function printShared(
  { output }: Context,
  owner: string,
  answer: { result: 'changed' | 'unchanged'; variables: Readonly<Record<string, string>> },
): void {
  const { variables, result } = answer;
  output.print(
    Object.keys(variables).length === 0
      ? `${owner} has no variables.`
      : variableTable(variables, output.style),
  );
  output.print(
    output.style.dim(
      result === 'changed'
        ? 'Nothing is deployed by this: each tenant takes it up with its next change.'
        : 'Nothing was changed.',
    ),
  );
}

export function variableTable(variables: Readonly<Record<string, string>>, style: Style): string {
  const rows = Object.entries(variables).map(([name, value]) => [name, JSON.stringify(value)]);
  return table(['NAME', 'VALUE'], rows, style);
}
