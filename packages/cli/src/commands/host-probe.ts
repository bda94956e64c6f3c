import type { Command } from 'commander';
import { unreachable } from '@berth/shared/domain/errors';
import { probeHolds, type ProbeReport, type ProbeRow, type ProbeVerdict } from '@berth/shared/domain/probe';
import { Ended, EXIT } from '../exit-codes.ts';
import { clean, type Style } from '../output/style.ts';
import { fits, table } from '../output/table.ts';
import { argument, does, examples, NoOptions, type ContextOf } from './define.ts';
import { hostIdOf } from './host-id.ts';

/** `berth host probe`: exit 0 when everything held, 1 when anything is open or proves nothing. */
export function registerHostProbe(host: Command, contextOf: ContextOf): void {
  const probe = host
    .command('probe')
    .description(
      'try a host’s isolation from inside throw-away tenants; takes a quarter of a minute, on a busy host up to three',
    )
    .argument('<host>', 'its id or name');
  examples(probe, [
    ['berth host probe host-1', 'a table of what was tried and what came of it'],
    ['berth host probe host-1 --json', 'exit 1 when anything is open'],
  ]);
  does(probe, contextOf, NoOptions, async (context, args) => {
    const { output } = context;
    const api = context.api();
    const id = await hostIdOf(api, argument(args, 0), context.signal);
    const report = await api.probeHost({ params: { host: id } }, context.signal);
    output.json({ host: id, ...report });
    output.print(probeView(report, output.style));
    if (!probeHolds(report)) throw new Ended(EXIT.failed);
  });
}

export function probeView(report: ProbeReport, style: Style): string {
  const count = (verdict: ProbeVerdict): number =>
    report.rows.filter((row) => row.verdict === verdict).length;
  const sums = [`${count('held')} held`, `${count('open')} open`];
  if (count('broken') + count('untried') > 0)
    sums.push(`${count('broken') + count('untried')} prove nothing`);
  sums.push(`${count('note')} notes`);
  const sum = `${sums.join(', ')}, in ${(report.ms / 1000).toFixed(1)} s`;
  return [rowsView(report.rows, style), probeHolds(report) ? style.green(sum) : style.red(sum)].join('\n');
}

/**
 * All of every row. Where the columns have no room side by side, what was seen follows what was tried, and what was
 * expected only where it did not hold: elsewhere it is what was seen.
 */
function rowsView(rows: readonly ProbeRow[], style: Style): string {
  const head = ['AREA', 'TRIED', 'EXPECTED', 'SEEN', 'VERDICT'];
  const all = rows.map((row) => [
    row.area,
    clean(row.tried),
    clean(row.expected),
    clean(row.seen),
    verdictText(row.verdict, style),
  ]);
  if (fits(head, all, style)) return table(head, all, style);
  const told = (row: ProbeRow): string => {
    const held = row.verdict === 'held' || row.verdict === 'note';
    return clean(`${row.tried}: ${row.seen}${held ? '' : `; expected: ${row.expected}`}`);
  };
  const narrow = rows.map((row) => [verdictText(row.verdict, style), row.area, told(row)]);
  return table(['VERDICT', 'AREA', 'TRIED: SEEN'], narrow, style);
}

function verdictText(verdict: ProbeVerdict, style: Style): string {
  switch (verdict) {
    case 'held':
      return style.green('held');
    case 'open':
      return style.red('OPEN');
    case 'broken':
      return style.yellow('broken');
    case 'untried':
      return style.yellow('untried');
    case 'note':
      return style.dim('note');
    default:
      return unreachable(verdict);
  }
}
