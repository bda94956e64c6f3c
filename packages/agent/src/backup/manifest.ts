import { json } from 'node:stream/consumers';
import { BackupManifest } from '@berth/shared/domain/backup';
import { BerthError } from '@berth/shared/domain/errors';
import type { ObjectStore } from './object-store.ts';
import { keysOf } from './store.ts';

/** Writes the manifest beside its object: from then on it is a backup. Errors: those of the store. */
export async function writeManifest(
  store: ObjectStore,
  manifest: BackupManifest,
  signal: AbortSignal,
): Promise<void> {
  const text = Buffer.from(`${JSON.stringify(manifest, null, 2)}\n`);
  async function* body(): AsyncGenerator<Buffer> {
    yield text;
  }
  await store.put(keysOf(manifest).manifest, body(), { signal });
}

/** The manifest beside an object. Errors: `not_found`, `backup_mismatch` when it is none, those of the store. */
export async function readManifest(
  store: ObjectStore,
  of: { app: string; tenant: string; backup: string },
  signal: AbortSignal,
): Promise<BackupManifest> {
  const key = keysOf(of).manifest;
  const stream = await store.get(key, { signal });
  let read: unknown;
  try {
    read = await json(stream);
  } catch (cause) {
    signal.throwIfAborted();
    throw new BerthError('backup_mismatch', `${key} in ${store.where} is no manifest: it is not JSON.`, {
      cause,
    });
  }
  const parsed = BackupManifest.safeParse(read);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new BerthError(
    'backup_mismatch',
    `${key} in ${store.where} is no manifest that this Berth reads: ${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''}.`,
  );
}

/** The names of fields in which two manifests differ. */
export function fieldsThatDiffer(one: BackupManifest, other: BackupManifest): string[] {
  const texts = (of: BackupManifest): Map<string, string> =>
    new Map(Object.entries(of).map(([name, value]) => [name, JSON.stringify(sorted(value))]));
  const [a, b] = [texts(one), texts(other)];
  return [...a.keys()].filter((name) => a.get(name) !== b.get(name));
}

function sorted(value: unknown): unknown {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return value;
  return Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
}
