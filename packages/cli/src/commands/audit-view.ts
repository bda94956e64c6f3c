import type { ChainedAuditRecord } from '@berth/shared/api/audit';
import type { ChainHead } from '@berth/shared/domain/audit';
import { whoText } from '@berth/shared/domain/actor';
import { timestamp } from '../output/format.ts';
import { clean, type Style } from '../output/style.ts';
import { table } from '../output/table.ts';

/** Marks that turn the direction of a line, so that it reads as something else. */
const TURNING = '\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069';

/** A name in a table: one line, and nothing that a terminal would act on. */
export function cell(text: string): string {
  return clean(text)
    .replaceAll(/[\n\t]+/g, ' ')
    .replaceAll(new RegExp(`[${TURNING}]`, 'g'), '');
}

export function auditTable(records: readonly ChainedAuditRecord[], style: Style): string {
  const rows = records.map((record) => [
    String(record.id),
    timestamp(record.at),
    cell(whoText(record.actor)),
    cell(record.action),
    cell(record.subject),
  ]);
  return table(['ID', 'WHEN', 'WHO', 'WHAT', 'SUBJECT'], rows, style);
}

export const headText = (head: ChainHead): string => `${head.number}:${head.hash}`;

/**
 * A record as one line of an export: JSON in which also those control characters are escaped that JSON may leave as they
 * are, so that a look at the file is harmless. Whoever parses it has the same record.
 */
export function exportLine(record: ChainedAuditRecord): string {
  return JSON.stringify(record).replaceAll(
    new RegExp(`[\u007f-\u009f\u2028\u2029${TURNING}]`, 'g'),
    (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
