import type { BackupManifest, BackupReason } from '@berth/shared/domain/backup';
import { BerthError } from '@berth/shared/domain/errors';
import { reasonOf, type Clock } from '../system/clock.ts';
import { schemaOf, type DatabaseAddress } from './address.ts';
import type { ClientPrograms } from './clients.ts';
import { readDefinitions, type Definitions } from './definitions.ts';
import { startDump } from './dump.ts';
import { writeManifest } from './manifest.ts';
import { Measure } from './measure.ts';
import type { ObjectStore, Stored } from './object-store.ts';
import { openSessionAt } from './open-session.ts';
import { countRows } from './rows.ts';
import type { Session } from './session.ts';
import { keysOf, readError } from './store.ts';
import { readToc } from './toc.ts';

/** Whose backup it is, decided by who asks for it: a caller that notes it first can sweep up after a crash. */
export interface BackupIdentity {
  backup: string;
  tenant: string;
  app: string;
  release: number;
  generation: number;
  reason: BackupReason;
}

/** How far it is. Bytes are of the compressed object, which is known before only by the backup before. */
export interface BackupProgress {
  phase: 'dump' | 'read-back' | 'restore';
  bytes: number;
  /** Null where nobody knows. */
  ofBytes: number | null;
}

/** Where a fault test may end the process. */
export type BackupPoint = 'snapshot' | 'dumping' | 'uploaded' | 'read-back' | 'done';

export interface TakeBackup {
  source: DatabaseAddress;
  store: ObjectStore;
  identity: BackupIdentity;
  clients: ClientPrograms;
  clock: Clock;
  signal: AbortSignal;
  /** One sentence per stage. */
  log?: (sentence: string) => void;
  progress?: (progress: BackupProgress) => void;
  reached?: (point: BackupPoint) => void;
}

/** Told at most so often. */
const TELL_MS = 250;

/**
 * Dumps a database to a store, reads back what arrived, and writes the manifest last. Memory does not grow with the
 * database. When it rejects, no program runs any more and no part of an upload stays; an object without a manifest may,
 * which is no backup. Errors: `backup_client_missing`, `backup_database_unavailable`, `backup_database_refused`,
 * `backup_dump_failed`, `backup_store_unavailable`, `backup_store_refused`, `backup_mismatch`, or the signal's reason.
 */
export async function takeBackup(take: TakeBackup): Promise<BackupManifest> {
  const { store, identity, clients, clock, signal, log = () => undefined, reached = () => undefined } = take;
  const { object } = keysOf(identity);
  if ((await store.head(object, signal)) !== null)
    throw new BerthError(
      'conflict',
      `${object} is already in ${store.where}; each backup has a name of its own.`,
    );
  const began = clock.now();
  const sent = await dumpToStore(take, object);
  reached('uploaded');
  const dumped = clock.now();
  log(`${sent.bytes} bytes of ${object} are in ${store.where}; reading them back.`);
  if (sent.stored.sha256 === null) await readWhole(take, object, sent);
  else if (sent.stored.sha256 !== sent.sha256 || sent.stored.bytes !== sent.bytes)
    throw mismatch(object, store, 'its size or checksum is not that of what was sent');
  const { entries } = await readToc(store, object, { clients, written: sent.clientVersion, signal });
  reached('read-back');
  const manifest: BackupManifest = {
    version: 1,
    backup: identity.backup,
    tenant: identity.tenant,
    app: identity.app,
    release: identity.release,
    generation: identity.generation,
    reason: identity.reason,
    takenAt: sent.takenAt,
    engine: 'postgres',
    serverVersion: sent.serverVersion,
    clientVersion: sent.clientVersion,
    format: 'pg-custom+zstd',
    bytes: sent.bytes,
    sha256: sent.sha256,
    dumpBytes: sent.dumpBytes,
    schemaSha256: sent.definitions.sha256,
    schemaParts: sent.definitions.parts,
    rows: sent.rows,
    entries,
    tookMs: { dump: dumped - began, readBack: clock.now() - dumped },
  };
  await writeManifest(store, manifest, signal);
  reached('done');
  log(`${identity.backup} of ${identity.tenant} is good.`);
  return manifest;
}

interface Sent {
  stored: Stored;
  bytes: number;
  sha256: string;
  dumpBytes: number;
  takenAt: number;
  serverVersion: string;
  clientVersion: string;
  definitions: Definitions;
  rows: Record<string, number>;
}

/** Dump, upload, and what is in the snapshot, side by side: whichever fails first ends the others, and is what is told. */
async function dumpToStore(take: TakeBackup, object: string): Promise<Sent> {
  const { source, store, clients, clock, log = () => undefined, reached = () => undefined } = take;
  const failing = new AbortController();
  const signal = AbortSignal.any([take.signal, failing.signal]);
  const session = await openSessionAt(source, signal);
  const onAbort = (): void => void session.close();
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    signal.throwIfAborted();
    const snapshot = await snapshotOf(session);
    const takenAt = clock.now();
    const [size = '0'] = await session.texts('select pg_database_size(current_database())::text');
    reached('snapshot');
    log(`Dumping ${session.where} (PostgreSQL ${session.serverVersion}) to ${store.where}.`);
    const { serverVersion, where } = session;
    const dump = await startDump(source, { clients, snapshot, serverVersion, where, signal });
    signal.addEventListener('abort', () => void dump.stop(), { once: true });
    const tell = teller(take, 'dump', null);
    const measure = new Measure((bytes) => {
      reached('dumping');
      tell(bytes);
    });
    const first = <T>(work: Promise<T>): Promise<T> =>
      work.catch((thrown: unknown) => {
        failing.abort(thrown);
        throw thrown;
      });
    const [stored, contents] = await Promise.allSettled([
      first(store.put(object, measure.of(dump.body), { expectedBytes: Number(size), signal })),
      first(contentsOf(session, schemaOf(source))),
    ]);
    await dump.stop();
    if (take.signal.aborted) throw reasonOf(take.signal);
    if (stored.status === 'rejected' || contents.status === 'rejected') throw reasonOf(failing.signal);
    return {
      stored: stored.value,
      bytes: measure.bytes,
      sha256: measure.sha256(),
      dumpBytes: dump.dumpBytes(),
      takenAt,
      serverVersion,
      clientVersion: dump.clientVersion,
      ...contents.value,
    };
  } catch (thrown) {
    // A session that was cut because of something else tells of that.
    throw take.signal.aborted ? reasonOf(take.signal) : thrown;
  } finally {
    signal.removeEventListener('abort', onAbort);
    await session.close();
  }
}

/** Begins the transaction whose view of the data pg_dump takes over; its id. */
async function snapshotOf(session: Session): Promise<string> {
  await session.texts('begin isolation level repeatable read, read only');
  const [id] = await session.texts('select pg_export_snapshot()');
  if (id !== undefined && /^[0-9A-Fa-f-]+$/.test(id)) return id;
  throw new BerthError('backup_database_refused', `${session.where} exported no snapshot.`);
}

async function contentsOf(
  session: Session,
  schema: string | null,
): Promise<{ definitions: Definitions; rows: Record<string, number> }> {
  const definitions = await readDefinitions(session, schema);
  return { definitions, rows: await countRows(session, schema) };
}

/** For stores that keep no checksums: all of it once more, through our own. */
async function readWhole(take: TakeBackup, object: string, sent: Sent): Promise<void> {
  const measure = new Measure(teller(take, 'read-back', sent.bytes));
  const body: AsyncIterable<Buffer> = await take.store.get(object, { signal: take.signal });
  try {
    for await (const chunk of body) measure.add(chunk);
  } catch (thrown) {
    throw readError(thrown, object, take.store, take.signal);
  }
  if (measure.bytes !== sent.bytes || measure.sha256() !== sent.sha256)
    throw mismatch(object, take.store, `${measure.bytes} bytes came back of ${sent.bytes}, or other ones`);
}

function mismatch(object: string, store: ObjectStore, why: string): BerthError {
  return new BerthError(
    'backup_mismatch',
    `${object} in ${store.where} is not what was sent: ${why}. It is not listed; another is to be taken.`,
  );
}

/** Tells of progress now and then. */
export function teller(
  { clock, progress }: Pick<TakeBackup, 'progress'> & { clock: Clock },
  phase: BackupProgress['phase'],
  ofBytes: number | null,
): (bytes: number) => void {
  if (progress === undefined) return () => undefined;
  let last = 0;
  return (bytes) => {
    const at = clock.now();
    if (at - last < TELL_MS && bytes !== ofBytes) return;
    last = at;
    progress({ phase, bytes, ofBytes });
  };
}
