import type { Command } from 'commander';
import { z } from 'zod';
import type { Context } from '../context.ts';
import { foldLine } from '../output/fold.ts';

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

/** What help may take of a line; it is the same for all readers. */
const HELP_WIDTH = 80;

/**
 * Examples below the help of a command, each with what it does: beside it, or below where that is too wide. A long command
 * goes on after a backslash, so that it can still be copied.
 */
export function examples(command: Command, lines: readonly (readonly [string, string])[]): Command {
  const width = Math.max(...lines.map(([example]) => example.length));
  const beside = lines.map(([example, what]) => `  ${example.padEnd(width)}  ${what}`.trimEnd());
  const text = beside.every((line) => line.length <= HELP_WIDTH)
    ? beside
    : lines.flatMap(([example, what]) => [
        ...continued(`  ${example}`),
        ...(what === '' ? [] : foldLine(`      ${what}`, HELP_WIDTH, 6)),
      ]);
  return command.addHelpText('after', `\nExamples:\n${text.join('\n')}`);
}

/** A command line in several, each but the last with a backslash; broken before an option. */
function continued(line: string): string[] {
  const lines: string[] = [];
  let rest = line;
  while (rest.length > HELP_WIDTH) {
    const at = rest.lastIndexOf(' -', HELP_WIDTH - 2);
    if (at <= 8) break;
    lines.push(`${rest.slice(0, at)} \\`);
    rest = `     ${rest.slice(at)}`;
  }
  return [...lines, rest];
}
