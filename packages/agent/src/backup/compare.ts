import type { BackupManifest } from '@berth/shared/domain/backup';
import { BerthError } from '@berth/shared/domain/errors';
import { schemaOf, type DatabaseAddress } from './address.ts';
import { readDefinitions } from './definitions.ts';
import { openSessionAt } from './open-session.ts';
import { countRows } from './rows.ts';

/** One thing in which a restored database is not what its manifest says. */
export type Difference =
  /** Definitions of this kind, such as `columns`. */
  | { kind: 'definitions'; part: string }
  | { kind: 'rows'; table: string; expected: number; found: number }
  | { kind: 'table_missing'; table: string; expected: number }
  | { kind: 'table_added'; table: string; found: number };

/**
 * Reads definitions and row counts of a restored database anew and compares them with the manifest: everything that
 * differs, none when it is the same. Errors: `backup_database_*`.
 */
export async function compareWith(
  manifest: BackupManifest,
  target: DatabaseAddress,
  signal: AbortSignal,
): Promise<Difference[]> {
  const session = await openSessionAt(target, signal);
  const onAbort = (): void => void session.close();
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    await session.texts('begin isolation level repeatable read, read only');
    const schema = schemaOf(target);
    const definitions = await readDefinitions(session, schema);
    return [
      ...partsThatDiffer(manifest, definitions.parts, definitions.sha256),
      ...rowsThatDiffer(manifest.rows, await countRows(session, schema)),
    ];
  } catch (thrown) {
    signal.throwIfAborted();
    throw thrown;
  } finally {
    signal.removeEventListener('abort', onAbort);
    await session.close();
  }
}

/** Errors: `backup_mismatch`, which names the first differences and has all in its details. */
export function expectSame(differences: readonly Difference[], where: string): void {
  if (differences.length === 0) return;
  const [first, second, third] = differences.map(sentenceOf);
  const named = [first, second, third].filter((text) => text !== undefined).join('; ');
  const more = differences.length > 3 ? `; and ${differences.length - 3} more` : '';
  throw new BerthError(
    'backup_mismatch',
    `What was restored into ${where} is not what the backup's manifest says: ${named}${more}. Do not use it; restore another backup.`,
    { details: { differences } },
  );
}

export function sentenceOf(one: Difference): string {
  switch (one.kind) {
    case 'definitions':
      return `${one.part} are defined otherwise`;
    case 'rows':
      return `${one.table} has ${one.found} rows instead of ${one.expected}`;
    case 'table_missing':
      return `${one.table} is missing (${one.expected} rows)`;
    case 'table_added':
      return `${one.table} is there too (${one.found} rows)`;
  }
}

function partsThatDiffer(
  manifest: BackupManifest,
  parts: Readonly<Record<string, string>>,
  sha256: string,
): Difference[] {
  const names = [...new Set([...Object.keys(manifest.schemaParts), ...Object.keys(parts)])];
  const differing = names.filter((name) => manifest.schemaParts[name] !== parts[name]);
  if (differing.length === 0 && manifest.schemaSha256 !== sha256)
    return [{ kind: 'definitions', part: 'all' }];
  return differing.map((part) => ({ kind: 'definitions', part }));
}

function rowsThatDiffer(
  expected: Readonly<Record<string, number>>,
  found: Readonly<Record<string, number>>,
): Difference[] {
  const before = new Map(Object.entries(expected));
  const after = new Map(Object.entries(found));
  const differences: Difference[] = [];
  for (const [table, rows] of before) {
    const now = after.get(table);
    if (now === undefined) differences.push({ kind: 'table_missing', table, expected: rows });
    else if (now !== rows) differences.push({ kind: 'rows', table, expected: rows, found: now });
  }
  for (const [table, rows] of after)
    if (!before.has(table)) differences.push({ kind: 'table_added', table, found: rows });
  return differences;
}
