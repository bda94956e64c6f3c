import { z } from 'zod';
import { UsageError } from '../exit-codes.ts';
import { parseDuration } from '../output/format.ts';
import { registerAuditExport, registerAuditHead } from './audit-export.ts';
import { registerAuditVerify } from './audit-verify.ts';
import { auditTable } from './audit-view.ts';
import { does, examples, type Register } from './define.ts';
import { parseCount } from './parse.ts';

export const registerAudit: Register = (program, contextOf) => {
  const audit = program.command('audit').description('who changed what, newest first');
  const list = audit
    .command('list', { isDefault: true })
    .description('the records, newest first; what berth audit alone does')
    .option('--by <who>', "a token's name or id, a host's id, a rollout's number, coordinator")
    .option('--action <action>', 'such as tenant.created, or tenant for all of them')
    .option('--subject <subject>', 'what was changed: a tenant, an app, a host, a token')
    .option('--since <when>', 'a time ago such as 7d, or a date such as 2026-11-20 (UTC)')
    .option('--limit <n>', 'how many', '50')
    .option('--before <id>', 'only those before this record');
  examples(list, [
    ['berth audit --limit 20', ''],
    ['berth audit --by ci --since 7d', 'what a token did'],
    ['berth audit --action tenant --subject acme', 'what was done to a tenant'],
    ['berth audit --json', 'with the values before and after'],
  ]);
  examples(audit, [
    ['berth audit --by ci --since 7d', 'more options: berth audit list --help'],
    ['berth audit verify', ''],
  ]);
  registerAuditVerify(audit, contextOf);
  registerAuditExport(audit, contextOf);
  registerAuditHead(audit, contextOf);
  const options = z.object({
    by: z.string().optional(),
    action: z.string().optional(),
    subject: z.string().optional(),
    since: z.string().optional(),
    limit: z.string(),
    before: z.string().optional(),
  });
  does(list, contextOf, options, async (context, _args, given) => {
    const { output } = context;
    const { by, action, subject } = given;
    const limit = parseCount(given.limit, '--limit');
    const query = {
      limit,
      ...(by === undefined ? {} : { by }),
      ...(action === undefined ? {} : { action }),
      ...(subject === undefined ? {} : { subject }),
      ...(given.since === undefined ? {} : { since: parseSince(given.since, context.clock.now()) }),
      ...(given.before === undefined ? {} : { before: parseCount(given.before, '--before') }),
    };
    const page = await context.api().listAudit({ query }, context.signal);
    output.json(page);
    if (page.items.length === 0) {
      const everything = page.head.number === 0;
      output.print(everything ? 'Nothing was changed yet.' : 'No record is like that.');
      return;
    }
    output.print(auditTable(page.items, output.style));
    const last = page.items.at(-1)?.id ?? 1;
    if (page.items.length === limit && last > 1)
      output.print(output.style.dim(`Older ones: add --before ${last}`));
  });
};

/** Milliseconds since 1970 of `7d` ago, or of a date, with or without a time, in UTC. */
export function parseSince(text: string, now: number): number {
  const ago = parseDuration(text);
  if (ago !== undefined) return Math.max(0, now - ago);
  const date = /^(\d{4}-\d{2}-\d{2})(?:[ T](\d{2}:\d{2}(?::\d{2})?))?Z?$/.exec(text);
  const at = date === null ? NaN : Date.parse(`${date[1]}T${date[2] ?? '00:00'}Z`);
  if (Number.isNaN(at) || at < 0) {
    throw new UsageError(
      `--since must be a time ago such as 7d, or a date such as 2026-11-20, not ${JSON.stringify(text)}.`,
    );
  }
  return at;
}
