import { egressFrom, type Egress } from '@berth/shared/domain/egress';
import { parseDotenv } from '@berth/shared/compose/dotenv';
import { VariableName } from '@berth/shared/domain/ids';
import { Tag } from '@berth/shared/domain/rollout';
import { resolve } from 'node:path';
import { UsageError } from '../exit-codes.ts';
import { parseDuration } from '../output/format.ts';
import { readText } from '../read-text.ts';

/** `K=V` as typed after an option. The value may be empty and may contain `=`. */
export function parseVariable(text: string, option = '--var'): [name: string, value: string] {
  const at = text.indexOf('=');
  if (at <= 0) throw new UsageError(`${option} ${text} is not NAME=VALUE.`);
  const name = text.slice(0, at);
  const checked = VariableName.safeParse(name);
  if (!checked.success) {
    throw new UsageError(`${option} ${name}: ${checked.error.issues[0]?.message ?? 'not a variable name'}.`);
  }
  return [name, text.slice(at + 1)];
}

/** Variables of --var-file and --var together; a --var wins over the file, a later one over an earlier one. */
export function readVariables(
  given: { var?: readonly string[] | undefined; varFile?: readonly string[] | undefined },
  cwd: string,
): Record<string, string> {
  const variables: Record<string, string> = {};
  for (const file of given.varFile ?? []) Object.assign(variables, readVariableFile(file, cwd));
  for (const text of given.var ?? []) {
    const [name, value] = parseVariable(text);
    variables[name] = value;
  }
  return variables;
}

function readVariableFile(file: string, cwd: string): Record<string, string> {
  const text = readText(resolve(cwd, file), `--var-file ${file}`);
  // The values are taken as they stand: a `$` in a customer's setting is a dollar.
  const parsed = parseDotenv(text, 'default');
  const problem = parsed.problems[0];
  if (problem !== undefined) throw new UsageError(`${file}:${problem.line}: the line ${problem.message}.`);
  const variables: Record<string, string> = {};
  for (const entry of parsed.entries) {
    if (entry.value === undefined) throw new UsageError(`${file}:${entry.line}: ${entry.name} has no value.`);
    if (!VariableName.safeParse(entry.name).success) {
      throw new UsageError(
        `${file}:${entry.line}: ${entry.name} is not a variable name (letters, digits and "_").`,
      );
    }
    // In double quotes `\$` is written `$$` for Compose; here nothing is filled in.
    variables[entry.name] = entry.expands ? entry.value.replaceAll('$$', '$') : entry.value;
  }
  return variables;
}

/** A whole number of at least `least`. */
export function parseCount(text: string, what: string, least = 1): number {
  const count = Number(text);
  if (!/^\d{1,9}$/.test(text) || count < least) {
    throw new UsageError(`${what} must be a whole number of at least ${least}, not ${JSON.stringify(text)}.`);
  }
  return count;
}

/** A TCP port. */
export function parsePort(text: string, what: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (port < 1 || port > 65_535)
    throw new UsageError(`${what} must be a port from 1 to 65535, not ${JSON.stringify(text)}.`);
  return port;
}

/** `30s`, `5m`, `2h` in milliseconds; `0s` only where `least` is 0. */
export function parseTime(text: string, what: string, least = 1): number {
  const ms = parseDuration(text);
  if (ms === undefined || ms < least) {
    throw new UsageError(`${what} must be a time such as 30s, 5m or 2h, not ${JSON.stringify(text)}.`);
  }
  return ms;
}

/** `2%` as 0.02. */
export function parsePercent(text: string, what: string): number {
  const percent = /^\d{1,3}(\.\d{1,6})?%$/.test(text) ? Number(text.slice(0, -1)) : NaN;
  if (!(percent <= 100))
    throw new UsageError(`${what} must be a share such as 2% or 0.5%, not ${JSON.stringify(text)}.`);
  return percent / 100;
}

/** A number of at least `least`, such as 1.5. */
export function parseFactor(text: string, what: string, least: number): number {
  const factor = /^\d{1,6}(\.\d{1,6})?$/.test(text) ? Number(text) : NaN;
  if (!(factor >= least))
    throw new UsageError(`${what} must be a number of at least ${least}, not ${JSON.stringify(text)}.`);
  return factor;
}

/** A tag such as canary or tier=free. */
export function parseTag(text: string, what: string): Tag {
  const tag = Tag.safeParse(text);
  if (!tag.success)
    throw new UsageError(`${what} ${JSON.stringify(text)}: ${tag.error.issues[0]?.message ?? 'no tag'}.`);
  return tag.data;
}

/** A comma-separated list of tags. */
export function parseTags(text: string, what: string): Tag[] {
  return text.split(',').map((tag) => parseTag(tag.trim(), what));
}

/** `--egress`: a word or a list of ranges. */
export function parseEgress(text: string): Egress {
  // One address is a range of one, as in a template.
  const egress = egressFrom(text.replaceAll(/(^|,)(\d+(?:\.\d+){3})(?=,|$)/g, '$1$2/32'));
  if (egress !== null) return egress;
  throw new UsageError(
    `--egress ${text} is no policy.`,
    'Say internet, public, none, or IPv4 addresses and ranges such as 10.1.0.0/16,192.0.2.7, with no bits set behind the prefix.',
  );
}
