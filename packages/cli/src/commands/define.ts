import type { Command } from 'commander';
import { z } from 'zod';
import type { Context } from '../context.ts';

/** Makes a command's context from the options every command takes. */
export type ContextOf = (globals: GlobalOptions) => Context;

export const GlobalOptions = z.object({
  json: z.boolean().default(false),
  url: z.string().optional(),
  tokenFile: z.string().optional(),
});
export type GlobalOptions = z.infer<typeof GlobalOptions>;

/** Each noun's file exports one of these; main calls them all. */
export type Register = (program: Command, contextOf: ContextOf) => void;

/**
 * Gives a command its work. `options` is what its own flags must parse to; arguments come as the strings that were
 * typed.
 */
export function does<S extends z.ZodType>(
  command: Command,
  contextOf: ContextOf,
  options: S,
  work: (context: Context, args: readonly string[], options: z.output<S>) => Promise<void>,
): void {
  command.action(async () => {
    const context = contextOf(GlobalOptions.parse(command.optsWithGlobals()));
    await work(context, command.args, options.parse(command.opts()));
  });
}

export const NoOptions = z.object({});

/** The n-th argument; commander has already refused a command line without the required ones. */
export function argument(args: readonly string[], index: number): string {
  return args[index] ?? '';
}

/** For options that may be given several times. */
export function collect(value: string, before: readonly string[] | undefined): string[] {
  return [...(before ?? []), value];
}

/** Examples below the help of a command. */
export function examples(command: Command, lines: readonly (readonly [string, string])[]): Command {
  const width = Math.max(...lines.map(([example]) => example.length));
  const text = lines.map(([example, what]) => `  ${example.padEnd(width)}  ${what}`.trimEnd()).join('\n');
  return command.addHelpText('after', `\nExamples:\n${text}`);
}
