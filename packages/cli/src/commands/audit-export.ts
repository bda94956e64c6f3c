import type { ChainHead } from '@berth/shared/domain/audit';
import type { Command } from 'commander';
import { z } from 'zod';
import { auditPages } from './audit-read.ts';
import { exportLine, headText } from './audit-view.ts';
import { does, examples, NoOptions, type ContextOf } from './define.ts';
import { parseCount } from './parse.ts';

export function registerAuditExport(audit: Command, contextOf: ContextOf): void {
  const command = audit
    .command('export')
    .description('all records as JSON lines, oldest first')
    .option('--after <id>', 'only those after this record', '0');
  examples(command, [
    ['berth audit export > audit.jsonl', ''],
    ['berth audit export --after 1203 >> audit.jsonl', 'go on where an export ended'],
  ]);
  does(command, contextOf, z.object({ after: z.string() }), async (context, _args, given) => {
    const { output } = context;
    const after = parseCount(given.after, '--after', 0);
    let last: ChainHead | null = null;
    let count = 0;
    for await (const { items } of auditPages(context.api(), after, context.signal)) {
      // Lines in both formats: there is nothing else that they could be.
      output.stdout.write(items.map((record) => `${exportLine(record)}\n`).join(''));
      count += items.length;
      const end = items.at(-1);
      if (end !== undefined) last = { number: end.id, hash: end.hash };
    }
    output.note(
      last === null
        ? `There are no records after ${after}.`
        : `${count} ${count === 1 ? 'record' : 'records'}, up to ${headText(last)}`,
    );
  });
}

export function registerAuditHead(audit: Command, contextOf: ContextOf): void {
  const command = audit
    .command('head')
    .description("the last record's number and hash, to be kept elsewhere");
  examples(command, [
    ['berth audit head --json > head.json', ''],
    ['berth audit verify --head head.json', 'later'],
  ]);
  does(command, contextOf, NoOptions, async (context) => {
    const { head } = await context.api().listAudit({ query: { limit: 1 } }, context.signal);
    context.output.json(head);
    context.output.print(headText(head));
  });
}
