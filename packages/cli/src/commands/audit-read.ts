import type { ApiClient } from '@berth/shared/api/client';
import { AuditHead, ChainedAuditRecord } from '@berth/shared/api/audit';
import type { ChainHead } from '@berth/shared/domain/audit';
import { messageOf } from '@berth/shared/domain/errors';
import { createReadStream, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { z } from 'zod';
import { UsageError } from '../exit-codes.ts';
import { whyUnreadable } from '../read-text.ts';

/** A page is held in memory, and not more. */
const PAGE = 1_000;

/** All records after a number, oldest first, page by page; with each page the head as it is then. */
export async function* auditPages(
  api: ApiClient,
  after: number,
  signal: AbortSignal,
): AsyncGenerator<{ items: ChainedAuditRecord[]; head: ChainHead }> {
  for (let from = after; ;) {
    const page = await api.listAudit({ query: { after: from, limit: PAGE } }, signal);
    yield page;
    const last = page.items.at(-1);
    // The head says that there is more, and there is not: whoever checks sees that it is missing.
    if (last === undefined || (page.items.length < PAGE && page.head.number <= last.id)) return;
    from = last.id;
  }
}

/** What a line of an export is: a record, or why it is none. */
export type ExportLine = { record: ChainedAuditRecord } | { line: number; problem: string };

/** The records of an export, line by line. `-` is the standard input. Errors: UsageError for a file that cannot be read. */
export async function* exportLines(file: string, cwd: string, stdin: Readable): AsyncGenerator<ExportLine> {
  const input = file === '-' ? stdin : createReadStream(resolve(cwd, file));
  let line = 0;
  try {
    for await (const text of createInterface({ input, crlfDelay: Infinity })) {
      line += 1;
      if (text.trim() !== '') yield lineOf(text, line);
    }
  } catch (cause) {
    throw new UsageError(`--file ${file} could not be read: ${whyUnreadable(cause)}.`);
  }
}

function lineOf(text: string, line: number): ExportLine {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    return { line, problem: `it is not JSON: ${messageOf(cause)}` };
  }
  const record = ChainedAuditRecord.safeParse(value);
  if (record.success) return { record: record.data };
  const issue = record.error.issues[0];
  return { line, problem: `${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'it is no record'}` };
}

/** As `berth audit head --json` and `berth audit verify --json` give it. */
const HeadFile = z.union([AuditHead, z.object({ head: AuditHead }).transform(({ head }) => head)]);

const HOW = 'Make one with: berth audit head --json > head.json';

/** `1203:<hash>`, or a file with a head. Errors: UsageError. */
export function parseHead(text: string, what: string, cwd: string): ChainHead {
  const typed = headOf(text);
  if (typed !== null) return typed;
  if (/^\d+:/.test(text))
    throw new UsageError(`${what} ${text}: a head is a number, ":" and 64 hexadecimal digits.`, HOW);
  const content = headFile(resolve(cwd, text), `${what} ${text}`);
  const plain = headOf(content);
  if (plain !== null) return plain;
  try {
    return HeadFile.parse(JSON.parse(content));
  } catch {
    throw new UsageError(`${what} ${text} holds no head.`, HOW);
  }
}

function headFile(path: string, what: string): string {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch (cause) {
    throw new UsageError(
      `${what} is neither a head (a number, ":" and 64 hexadecimal digits) nor a file with one: ${whyUnreadable(cause)}.`,
      HOW,
    );
  }
}

function headOf(text: string): ChainHead | null {
  const match = /^(\d{1,15}):([0-9a-f]{64})$/.exec(text);
  return match === null ? null : { number: Number(match[1]), hash: match[2] ?? '' };
}
