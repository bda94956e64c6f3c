import {
  CHAIN_START,
  createChainCheck,
  type ChainCheck,
  type ChainFault,
  type ChainHead,
} from '@berth/shared/domain/audit';
import type { Command } from 'commander';
import { z } from 'zod';
import type { Context } from '../context.ts';
import { Ended, EXIT, UsageError } from '../exit-codes.ts';
import { auditPages, exportLines, parseHead } from './audit-read.ts';
import { headText } from './audit-view.ts';
import { collect, does, examples, type ContextOf } from './define.ts';

const Options = z.object({
  file: z.array(z.string()).default([]),
  head: z.array(z.string()).default([]),
  from: z.string().optional(),
});

/** What is wrong: with the chain, or with a line that is no record. */
type Fault = Omit<ChainFault, 'kind'> & { kind: ChainFault['kind'] | 'unreadable' };

export function registerAuditVerify(audit: Command, contextOf: ContextOf): void {
  const verify = audit
    .command('verify')
    .description('see whether a record was changed, removed, inserted or moved')
    .option('--head <head>', 'a head that you kept, N:HASH or a file; may be given several times', collect)
    .option('--from <head>', 'begin after this head; what is before it is not looked at')
    .option('--file <file>', 'of an export instead of the coordinator; several in their order', collect);
  examples(verify, [
    ['berth audit verify', 'exit code 1 when something is wrong'],
    ['berth audit verify --head head.json', 'also finds a chain that was made anew, or cut off'],
    ['berth audit verify --from head.json', 'only what came since'],
    ['berth audit verify --file audit.jsonl --head head.json', 'without the coordinator'],
  ]);
  does(verify, contextOf, Options, async (context, _args, given) => {
    const { cwd, output } = context;
    const from = given.from === undefined ? CHAIN_START : parseHead(given.from, '--from', cwd);
    const kept = given.head.map((text) => parseHead(text, '--head', cwd));
    const early = kept.find((head) => head.number < from.number);
    if (early !== undefined)
      throw new UsageError(
        `The head of record ${early.number} is before --from ${from.number}: leave one out.`,
      );
    const check = createChainCheck(from, kept);
    const fault =
      given.file.length > 0
        ? await ofFiles(check, given.file, context)
        : await ofCoordinator(check, from.number, context);
    const head = check.at();
    const checked = head.number - from.number;
    if (fault === null && checked === 0 && given.file.length > 0) {
      output.json({ result: 'empty', checked, from, head, fault });
      const files = given.file.map((file) => (file === '-' ? 'stdin' : file)).join(', ');
      output.print(
        `${output.style.red(`There is no record in ${files}.`)} Nothing was checked: an export that holds none may have failed.`,
      );
      throw new Ended(EXIT.failed);
    }
    output.json({ result: fault === null ? 'intact' : 'broken', checked, from, head, fault });
    if (fault !== null) {
      const upTo = checked === 0 ? '' : ` Up to record ${head.number} nothing is wrong.`;
      output.print(
        `${output.style.red(`The audit is broken at record ${fault.record}.`)} ${fault.message}${upTo}`,
      );
      throw new Ended(EXIT.failed);
    }
    output.print(saysIntact(from, head, given.file.length > 0 ? 'file' : 'coordinator'));
    if (kept.length === 0)
      output.print(`Keep the head elsewhere, and give it with --head next time: ${headText(head)}`);
  });
}

function saysIntact(from: ChainHead, head: ChainHead, source: 'file' | 'coordinator'): string {
  const count = head.number - from.number;
  const which = count === 0 ? 'no records' : `records ${from.number + 1} to ${head.number}`;
  const before = from.number === 0 ? '' : ` Records 1 to ${from.number} were not looked at.`;
  const end = source === 'file' ? ' Whether more of them were written, a file does not say.' : '';
  return `The audit is intact: ${which}.${before}${end}`;
}

async function ofCoordinator(check: ChainCheck, after: number, context: Context): Promise<Fault | null> {
  let head: ChainHead = CHAIN_START;
  for await (const page of auditPages(context.api(), after, context.signal)) {
    head = page.head;
    for (const record of page.items) {
      const fault = check.next(record);
      if (fault !== null) return fault;
    }
  }
  return check.end(head);
}

async function ofFiles(check: ChainCheck, files: readonly string[], context: Context): Promise<Fault | null> {
  for (const file of files) {
    for await (const each of exportLines(file, context.cwd, context.stdin)) {
      context.signal.throwIfAborted();
      if ('problem' in each) {
        const record = check.at().number + 1;
        const message = `Line ${each.line} of ${file} should be it, and is no record: ${each.problem}.`;
        return { kind: 'unreadable', record, message };
      }
      const fault = check.next(each.record);
      if (fault !== null) return fault;
    }
  }
  return check.end(null);
}
