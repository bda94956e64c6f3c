import type { Command } from 'commander';

/** What is wrong with a command line and what to do, where the parser says it in its own words. */
export interface UsageWords {
  message: string;
  hint: string;
}

/** The parser's sentence for a command, with which command it is, what each missing part is for, and where to look. */
export function usageWords(command: Command, text: string): UsageWords {
  const name = pathOf(command);
  const hint = `See: ${name} --help`;
  const said = text.replace(/^error: /, '').trim();
  if (/^required option /.test(said)) {
    const missing = command.options.filter(
      (option) => option.mandatory && command.getOptionValue(option.attributeName()) === undefined,
    );
    const parts = missing.map(({ flags, description }) => `${flags} (${description})`);
    if (parts.length > 0) return { message: `${name} needs ${listed(parts)}.`, hint };
  }
  const argument = /^missing required argument '(.+)'$/.exec(said)?.[1];
  if (argument !== undefined)
    return { message: `${name} needs <${argument}>: ${name} ${command.usage()}`, hint };
  const unknown = /^unknown (command|option) '(.+?)'\n?(?:\(Did you mean (.+)\?\))?$/.exec(said);
  if (unknown !== null) {
    const [, kind = '', given = '', meant] = unknown;
    const perhaps = meant === undefined ? '' : ` Did you mean ${meant}?`;
    return { message: `${name} has no ${kind} ${given}.${perhaps}`, hint };
  }
  return { message: said, hint };
}

function pathOf(command: Command): string {
  return command.parent === null ? command.name() : `${pathOf(command.parent)} ${command.name()}`;
}

function listed(parts: readonly string[]): string {
  const last = parts.at(-1) ?? '';
  return parts.length < 2 ? last : `${parts.slice(0, -1).join(', ')} and ${last}`;
}
