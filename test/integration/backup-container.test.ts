import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as wait } from 'node:timers/promises';
import {
  compareWith,
  containerPrograms,
  findClients,
  openStore,
  restoreBackup,
  takeBackup,
  type ClientPrograms,
  type DatabaseAddress,
  type ObjectStore,
  type RemotePrograms,
  type TakeBackup,
} from '@berth/agent/backup/backup';
import type { BackupManifest } from '@berth/shared/domain/backup';
import type Docker from 'dockerode';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { clock, identity, keysIn, noise, unfinishedIn } from '../support/backups.ts';
import { postgresPrograms } from '../support/postgres-programs.ts';
import { dockerAt, sharedSocket } from '../support/docker.ts';
import { busyboxImage } from './support/images.ts';

let docker: Docker;
let container: Docker.Container;
let programs: RemotePrograms;
let clients: ClientPrograms;
let store: ObjectStore;
let folder: string;

/** This machine's own PostgreSQL in a container without a network: nothing but exec leads there. */
beforeAll(async () => {
  docker = dockerAt(sharedSocket());
  clients = await findClients();
  const begin = `initdb -D /pg/data -U app --auth=trust --encoding=UTF8 --no-sync >/dev/null &&
    exec postgres -D /pg/data -c listen_addresses= -c fsync=off -c unix_socket_directories=/pg`;
  container = await docker.createContainer({
    Image: await busyboxImage(docker),
    Cmd: ['sh', '-c', begin],
    User: '65534:65534',
    Env: [`PATH=${postgresPrograms()}:/bin`, 'PGHOST=/pg', 'LC_ALL=C.UTF-8'],
    Labels: { 'berth-test': 'backup-container' },
    HostConfig: {
      NetworkMode: 'none',
      Binds: ['/usr:/usr:ro', '/usr/lib:/lib:ro', '/usr/lib64:/lib64:ro'],
      Tmpfs: { '/pg': 'mode=1777,size=512m' },
      ShmSize: 128 * 1024 * 1024,
    },
  });
  await container.start();
  programs = containerPrograms(docker, container.id, 'service db of tenant acme');
  // Its socket comes up when it takes connections.
  for (let tries = 0; (await sql('postgres', 'select 1').catch(() => '')) !== '1'; tries += 1) {
    if (tries === 100) throw new Error('PostgreSQL does not come up in its container');
    await wait(200);
  }
});
afterAll(async () => {
  await container?.remove({ force: true, v: true });
});
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'berth-backup-'));
  store = await openStore({ kind: 'directory', path: folder });
  return () => rmSync(folder, { recursive: true, force: true });
});

async function sql(database: string, statements: string): Promise<string> {
  const psql = await programs.start(['psql', '-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1'], {
    env: { PGUSER: 'app', PGDATABASE: database },
    signal: AbortSignal.timeout(60_000),
  });
  psql.stdin.end(statements);
  const said = await text(psql.stdout);
  const { code, stderr } = await psql.ended;
  if (code !== 0) throw new Error(stderr);
  return said.trim();
}
const at = (database: string): DatabaseAddress => ({ kind: 'exec', programs, user: 'app', database });
const take = (database: string, given: Partial<TakeBackup> = {}): Promise<BackupManifest> =>
  takeBackup({
    source: at(database),
    store,
    identity: identity(),
    clients,
    clock,
    signal: new AbortController().signal,
    ...given,
  });
const Top = z.object({ Processes: z.array(z.array(z.string())) });
/** Programs of PostgreSQL's client that run in the container. */
async function clientsInside(): Promise<string[]> {
  const { Processes } = Top.parse(await container.top());
  return Processes.map((row) => row.at(-1) ?? '').filter((line) => /^(pg_dump|pg_restore|psql)/.test(line));
}

describe('a database in a container of the tenant', () => {
  test('is dumped with the client of its own image, restored into a new one, and is the same', async () => {
    await sql('postgres', `create database "o'd""d = x"`);
    await sql(`o'd"d = x`, `create table t (state varchar(9) check (state in ('a', 'b'))); ${noise(8)}`);
    const manifest = await take(`o'd"d = x`);
    expect(manifest.rows).toEqual({ 'public.noise': 112_000, 'public.t': 0 });
    await sql('postgres', 'create database again');
    const { signal } = new AbortController();
    await restoreBackup({ manifest, store, target: at('again'), clients, clock, signal });
    expect(await compareWith(manifest, at('again'), signal)).toEqual([]);
    await expect.poll(clientsInside, { timeout: 10_000 }).toEqual([]);
  });

  test('that is not there, or whose container is gone, is red', async () => {
    await expect(take('nobody')).rejects.toMatchObject({ code: 'backup_database_refused' });
    const gone = containerPrograms(docker, 'berth-test-not-there', 'service db of tenant acme');
    await expect(
      take('app', { source: { kind: 'exec', programs: gone, user: 'app', database: 'app' } }),
    ).rejects.toMatchObject({ code: 'backup_database_unavailable' });
    expect(await keysIn(store)).toEqual([]);
  });

  test.each(['killed', 'called off'])(
    'whose dump is %s midway is red; nothing runs on in there',
    async (how) => {
      await sql('postgres', `create database "${how}"`);
      await sql(how, noise(40));
      const calling = new AbortController();
      let chunks = 0;
      const backup = take(how, {
        signal: calling.signal,
        reached: (point) => {
          if (point !== 'dumping') return;
          chunks += 1;
          if (chunks !== 20) return;
          if (how === 'called off') calling.abort(new Error('called off'));
          else
            void sql(
              'postgres',
              "select pg_terminate_backend(pid) from pg_stat_activity where datname = 'killed'",
            );
        },
      });
      await expect(backup).rejects.toThrow(how === 'killed' ? /pg_dump|connection/i : 'called off');
      expect(await keysIn(store)).toEqual([]);
      expect(await unfinishedIn(store)).toEqual([]);
      await expect.poll(clientsInside, { timeout: 10_000 }).toEqual([]);
    },
  );
});
