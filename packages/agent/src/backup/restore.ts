import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { BackupManifest } from '@berth/shared/domain/backup';
import { BerthError } from '@berth/shared/domain/errors';
import { reasonOf, type Clock } from '../system/clock.ts';
import { schemaOf, whereOf, type DatabaseAddress } from './address.ts';
import type { ClientPrograms } from './clients.ts';
import { common } from './definitions.ts';
import { fieldsThatDiffer, readManifest } from './manifest.ts';
import { Measure } from './measure.ts';
import type { ObjectStore } from './object-store.ts';
import { openSessionAt } from './open-session.ts';
import { startRestore } from './restore-programs.ts';
import { keysOf, readError } from './store.ts';
import { teller, type BackupProgress } from './take.ts';
import { readToc, type TocEntry } from './toc.ts';

export interface RestoreBackup {
  /** As the catalogue has it; the one beside the object must say the same. */
  manifest: BackupManifest;
  store: ObjectStore;
  /** There, and empty. */
  target: DatabaseAddress;
  clients: ClientPrograms;
  clock: Clock;
  signal: AbortSignal;
  log?: (sentence: string) => void;
  progress?: (progress: BackupProgress) => void;
}

/**
 * Restores a backup into an empty database, as its role: owners and privileges are those of the target. The last bytes
 * are given to pg_restore only when all of them have the manifest's checksum, so what is damaged never ends well. After a
 * failure the database is half full and is to be dropped. Resolves to milliseconds; whether what came is right says
 * `compareWith`. Errors: `backup_mismatch`, `backup_restore_failed`, `conflict` when the target is not empty,
 * `not_found`, `backup_client_missing`, `backup_database_*`, `backup_store_*`, or the signal's reason.
 */
export async function restoreBackup(restore: RestoreBackup): Promise<{ tookMs: number }> {
  const { manifest, store, target, clients, clock, signal, log = () => undefined } = restore;
  const began = clock.now();
  const { object } = keysOf(manifest);
  await expectUntouched(manifest, store, signal);
  const has = await lookAt(target, signal);
  const where = whereOf(target);
  if (has.tables > 0)
    throw new BerthError(
      'conflict',
      `The ${where} is not empty: it has ${has.tables} tables. Restore into a new one; nothing was changed.`,
    );
  const toc = await readToc(store, object, { clients, written: manifest.clientVersion, signal });
  log(`Restoring ${object} of ${store.where} into the ${where}.`);
  const list = await listFileFor(toc.listed, has.schemas);
  try {
    await pour(restore, object, list?.path ?? null);
  } finally {
    await list?.remove();
  }
  return { tookMs: clock.now() - began };
}

/** Errors: `backup_mismatch` before anything is done. */
async function expectUntouched(
  manifest: BackupManifest,
  store: ObjectStore,
  signal: AbortSignal,
): Promise<void> {
  const { object } = keysOf(manifest);
  const beside = await readManifest(store, manifest, signal);
  const fields = fieldsThatDiffer(manifest, beside);
  if (fields.length > 0)
    throw new BerthError(
      'backup_mismatch',
      `The manifest of ${manifest.backup} in ${store.where} is not the one that was noted when it was taken: ${fields.join(', ')} differ. Somebody changed it; nothing was restored.`,
      { details: { fields } },
    );
  const head = await store.head(object, signal);
  if (head === null)
    throw new BerthError('not_found', `${object} is not in ${store.where}; nothing was restored.`);
  if (head.bytes !== manifest.bytes)
    throw new BerthError(
      'backup_mismatch',
      `${object} in ${store.where} has ${head.bytes} bytes instead of ${manifest.bytes}; nothing was restored.`,
    );
}

/** What is there already: tables, and the names of schemas. */
async function lookAt(
  target: DatabaseAddress,
  signal: AbortSignal,
): Promise<{ tables: number; schemas: ReadonlySet<string> }> {
  const session = await openSessionAt(target, signal);
  try {
    const [tables = '0'] = await session.texts(
      `with ${common(schemaOf(target))} select count(*)::text from rel where relkind in ('r', 'p', 'v', 'm', 'f', 'S')`,
    );
    return {
      tables: Number(tables),
      schemas: new Set(await session.texts('select nspname from pg_namespace')),
    };
  } finally {
    await session.close();
  }
}

/**
 * A list for pg_restore when something of the dump is to be left out: schemas that are there, and comments on extensions,
 * which only their owner may write. A file, as pg_restore takes nothing else.
 */
async function listFileFor(
  listed: readonly TocEntry[],
  schemas: ReadonlySet<string>,
): Promise<{ path: string; remove(): Promise<void> } | null> {
  const kept = listed.filter(({ text }) => {
    if (text.startsWith('COMMENT - EXTENSION ')) return false;
    const schema = /^SCHEMA - (.*) \S+$/.exec(text)?.[1];
    return schema === undefined || !schemas.has(schema);
  });
  if (kept.length === listed.length) return null;
  const folder = await mkdtemp(join(tmpdir(), 'berth-restore-'));
  const path = join(folder, 'list');
  await writeFile(path, `${kept.map(({ line }) => line).join('\n')}\n`, { mode: 0o600 });
  return { path, remove: () => rm(folder, { recursive: true, force: true }) };
}

/** The object into zstd, and from there into pg_restore. */
async function pour(restore: RestoreBackup, object: string, list: string | null): Promise<void> {
  const { manifest, store, target, clients, signal } = restore;
  const body = await store.get(object, { signal });
  const programs = await startRestore(target, { clients, written: manifest.clientVersion, list, signal });
  const stop = (): void => programs.stop();
  signal.addEventListener('abort', stop, { once: true });
  let failure: Error | null = null;
  try {
    const told = teller(restore, 'restore', manifest.bytes);
    const checked = checkedBytes(body, { restore, object, told });
    failure = await feed(checked, programs.input);
    const ended = await programs.ended;
    if (signal.aborted) throw reasonOf(signal);
    // A program that ended by itself explains why nobody read on; else it is the object.
    if (ended !== null) throw failure instanceof BerthError ? failure : ended;
    if (failure !== null) throw failure;
  } finally {
    signal.removeEventListener('abort', stop);
    programs.stop();
    body.destroy();
    await programs.ended;
  }
}

/** Writes all of it; the error it ended with, if any. The input is closed only after a good end. */
async function feed(body: AsyncGenerator<Buffer>, input: Writable): Promise<Error | null> {
  try {
    await pipeline(body, input);
    return null;
  } catch (thrown) {
    return thrown instanceof Error ? thrown : new Error(String(thrown));
  }
}

/** Holds the last chunk back until the checksum over everything is the manifest's. */
async function* checkedBytes(
  body: AsyncIterable<Buffer>,
  of: { restore: RestoreBackup; object: string; told: (bytes: number) => void },
): AsyncGenerator<Buffer> {
  const { manifest, store, signal } = of.restore;
  const measure = new Measure(of.told);
  let held: Buffer | null = null;
  try {
    for await (const chunk of body) {
      measure.add(chunk);
      if (held !== null) yield held;
      held = chunk;
    }
  } catch (thrown) {
    throw readError(thrown, of.object, store, signal);
  }
  if (measure.bytes !== manifest.bytes || measure.sha256() !== manifest.sha256)
    throw new BerthError(
      'backup_mismatch',
      `${of.object} in ${store.where} does not have the checksum of its manifest: it is damaged or was changed. Drop what was restored, and take another backup.`,
    );
  if (held !== null) yield held;
}
