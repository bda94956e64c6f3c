import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { BerthError } from '@berth/shared/domain/errors';
import { howItEnded, startChild } from './children.ts';
import { chooseClients, type ClientPrograms } from './clients.ts';
import type { ObjectStore } from './object-store.ts';
import { readError } from './store.ts';

/** One entry of a dump's table of contents, and the line that names it to pg_restore. */
export interface TocEntry {
  line: string;
  /** `TABLE DATA`, `INDEX`, `FK CONSTRAINT`: what pg_restore calls it, then the schema or `-`. */
  text: string;
}

export interface Toc {
  /** As the dump's own header counts them: more than are listed. */
  entries: number;
  listed: TocEntry[];
}

const ENV = { PATH: '/usr/bin:/bin', LC_ALL: 'C.UTF-8' };

/**
 * Reads the table of contents of a backup's object from its store, with a pg_restore that is as new as the client that
 * made it (`written`). Only the beginning of the object is fetched. Errors: `backup_mismatch` when it cannot be read as
 * a dump, `backup_client_missing`, those of the store.
 */
export async function readToc(
  store: ObjectStore,
  key: string,
  { clients, written, signal }: { clients: ClientPrograms; written: string; signal: AbortSignal },
): Promise<Toc> {
  const client = chooseClients(clients, [{ version: written, what: `The client that made ${key}` }]);
  const enough = new AbortController();
  const either = AbortSignal.any([signal, enough.signal]);
  const object = await store.get(key, { signal: either });
  const zstd = startChild(clients.zstd, ['-d', '-q', '-c'], { env: ENV, stdio: ['pipe', 'pipe'] });
  const output = zstd.process.stdout;
  const list = startChild(client.pgRestore, ['--list', '--format=custom'], {
    env: ENV,
    stdio: [output, 'pipe'],
  });
  output?.destroy();
  try {
    const feeding = feed(object, zstd.process.stdin);
    const toc = await listOf(list.process.stdout);
    const ended = await list.ended;
    enough.abort();
    const fed = await feeding;
    signal.throwIfAborted();
    // When the object itself stopped coming, that is the cause.
    if (fed !== null && ended.code !== 0) throw readError(fed, key, store, signal);
    if (ended.code !== 0 || toc === null)
      throw new BerthError(
        'backup_mismatch',
        `${key} in ${store.where} cannot be read as a dump: pg_restore --list ${howItEnded(ended)}: ${[...list.lastWords(3), ...zstd.lastWords(1)].join(' · ')}.`,
        { details: { key } },
      );
    return toc;
  } finally {
    enough.abort();
    object.destroy();
    list.stop();
    zstd.stop();
    await Promise.all([list.ended, zstd.ended]);
  }
}

/** The error that the object itself ended with, if any: a reader that has enough is none. */
async function feed(object: Readable, into: NodeJS.WritableStream | null): Promise<Error | null> {
  if (into === null) return null;
  let own: Error | null = null;
  async function* read(): AsyncGenerator<Buffer> {
    const chunks: AsyncIterable<Buffer> = object;
    try {
      for await (const chunk of chunks) yield chunk;
    } catch (thrown) {
      own = thrown instanceof Error ? thrown : new Error(String(thrown));
      throw thrown;
    }
  }
  await pipeline(read(), into).catch(() => undefined);
  return own;
}

async function listOf(output: Readable | null): Promise<Toc | null> {
  if (output === null) return null;
  let entries: number | null = null;
  const listed: TocEntry[] = [];
  for await (const line of createInterface({ input: output, crlfDelay: Number.POSITIVE_INFINITY })) {
    const count = /^;\s+TOC Entries: (\d+)$/.exec(line)?.[1];
    if (count !== undefined) entries ??= Number(count);
    const text = /^\d+; \d+ \d+ (.*)$/.exec(line)?.[1];
    if (text !== undefined) listed.push({ line, text });
  }
  return entries === null ? null : { entries, listed };
}
