import type { ClosedSecret, SecretKeys } from '@berth/shared/api/secrets';
import type { Context } from '../context.ts';
import { Ended, EXIT } from '../exit-codes.ts';
import { clean, type Style } from '../output/style.ts';
import { table } from '../output/table.ts';

/** More are counted; `--json` has all. */
const MOST_CLOSED = 20;

/** `berth secret keys`: what each key wraps, and which secrets a missing one closes; ends with 1 while one is missing. */
export async function showSecretKeys(context: Context): Promise<void> {
  const { output } = context;
  const { style } = output;
  const answer = await context.api().secretKeys({ query: { closed: 'list' } }, context.signal);
  output.json(answer);
  const missing = answer.keys.filter(({ problem }) => problem !== null);
  output.print(headOf(answer, missing, style));
  if (answer.keys.length > 0) {
    const rows = answer.keys.map(({ key, versions, problem }) => [
      key,
      String(versions),
      problem === null ? 'ok' : style.red('cannot be opened'),
    ]);
    output.print(table(['KEY', 'VERSIONS', 'STATE'], rows, style));
  }
  for (const { key, problem } of missing) output.print(style.red(`${key}: ${problem ?? ''}`));
  if (missing.length === 0 && answer.problem !== null) output.print(style.red(answer.problem));
  const closed = answer.closed ?? [];
  if (closed.length > 0) {
    output.print(`\n${closedTable(closed.slice(0, MOST_CLOSED), style)}`);
    const more = closed.length - MOST_CLOSED;
    if (more > 0) output.print(`and ${more} more; --json has all.`);
  }
  if (missing.length > 0) throw new Ended(EXIT.failed);
}

function headOf({ current }: SecretKeys, missing: SecretKeys['keys'], style: Style): string {
  const names = missing.map(({ key }) => key).join(', ');
  if (missing.length === 1)
    return `${style.red(`Nothing new is kept: the key ${names} is missing.`)} What it wraps is closed until it is back.`;
  if (missing.length > 1)
    return `${style.red(`Nothing new is kept: keys are missing: ${names}.`)} What they wrap is closed until they are back.`;
  return current === null ? 'There is no key.' : `New secrets are wrapped with ${current}.`;
}

function closedTable(closed: readonly ClosedSecret[], style: Style): string {
  const rows = closed.map(({ tenant, name, versions }) => [
    tenant === null ? '(database server)' : clean(tenant),
    clean(name),
    String(versions),
  ]);
  return table(['TENANT', 'CLOSED SECRET', 'VERSIONS'], rows, style);
}
