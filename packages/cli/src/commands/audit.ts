import { whoText } from '@berth/shared/domain/actor';
import { z } from 'zod';
import { timestamp } from '../output/format.ts';
import { clean } from '../output/style.ts';
import { table } from '../output/table.ts';
import { does, examples, type Register } from './define.ts';
import { parseCount } from './parse.ts';

export const registerAudit: Register = (program, contextOf) => {
  const audit = program
    .command('audit')
    .description('who changed what, newest first')
    .option('--limit <n>', 'how many', '50')
    .option('--before <id>', 'only those before this record');
  examples(audit, [
    ['berth audit --limit 20', ''],
    ['berth audit --json', 'with the values before and after'],
  ]);
  const options = z.object({ limit: z.string(), before: z.string().optional() });
  does(audit, contextOf, options, async (context, _args, given) => {
    const { output } = context;
    const query = {
      limit: parseCount(given.limit, '--limit'),
      ...(given.before === undefined ? {} : { before: parseCount(given.before, '--before') }),
    };
    const page = await context.api().listAudit({ query }, context.signal);
    output.json(page);
    const rows = page.items.map((record) => [
      String(record.id),
      timestamp(record.at),
      clean(whoText(record.actor)),
      clean(record.action),
      clean(record.subject),
    ]);
    output.print(
      rows.length === 0
        ? 'Nothing was changed yet.'
        : table(['ID', 'WHEN', 'WHO', 'WHAT', 'SUBJECT'], rows, output.style),
    );
  });
};
