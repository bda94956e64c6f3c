import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  compareWith,
  findClients,
  keysOf,
  openStore,
  readManifest,
  restoreBackup,
  sweep,
  takeBackup,
  type BackupIdentity,
  type ClientPrograms,
  type ObjectStore,
  type TakeBackup,
} from '@berth/agent/backup/backup';
import type { BackupManifest, BackupStore } from '@berth/shared/domain/backup';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { s3Admin, type S3Admin } from '../../packages/agent/test/support/s3-admin.ts';
import { startS3Server, type S3Server } from '../integration/support/s3-server.ts';
import { clock, dumpPrograms, identity, keysIn, noise, unfinishedIn } from '../support/backups.ts';
import { startCluster, type Cluster } from '../support/cluster.ts';
import { start } from '../support/processes.ts';
import { startS3Proxy, type Asked, type S3Proxy, type Way } from '../support/s3-proxy.ts';

const BUCKET = 'berth-backups';
/** A client of S3 waits for so long, so that these tests need not. */
const PATIENCE = { silenceMs: 2_000, attempts: 3 };

let cluster: Cluster;
let server: S3Server;
let admin: S3Admin;
let proxy: S3Proxy;
let clients: ClientPrograms;
/** By way of the proxy. */
let store: ObjectStore;
/** Straight, to look at what is there. */
let truth: ObjectStore;

beforeAll(async () => {
  [cluster, server, clients] = await Promise.all([startCluster(), startS3Server(), findClients()]);
  process.env.AWS_ACCESS_KEY_ID = server.key.id;
  process.env.AWS_SECRET_ACCESS_KEY = server.key.secret;
  await cluster.sql('postgres', "create role tenant login password 'pw'; create database app owner tenant");
  await cluster.sql('app', `set role tenant; ${noise(50)}`);
  await cluster.sql('postgres', 'create database small owner tenant');
  admin = s3Admin(server);
  truth = await openStore(storeAt(server.url));
});
afterAll(async () => {
  truth?.close();
  await Promise.all([cluster?.stop(), server?.stop()]);
});
beforeEach(async () => {
  await admin.create(BUCKET);
  proxy = await startS3Proxy(server.url);
  store = await openStore(storeAt(proxy.url), PATIENCE);
  return async () => {
    store.close();
    await proxy.close();
    // One test takes the bucket away itself.
    await cleared().catch(() => undefined);
    await admin.remove(BUCKET).catch(() => undefined);
  };
});

async function cleared(): Promise<void> {
  for (const one of await unfinishedIn(truth)) await truth.abandon(one, AbortSignal.timeout(10_000));
}
function storeAt(url: string): Extract<BackupStore, { kind: 's3' }> {
  return { kind: 's3', bucket: BUCKET, prefix: 'eu/prod', region: server.region, endpoint: url };
}
const url = (database = 'app'): string => cluster.url(database, { user: 'tenant', password: 'pw' });
function take(given: Partial<TakeBackup> = {}): Promise<BackupManifest> {
  return takeBackup({
    source: { kind: 'url', url: url() },
    store,
    identity: identity(),
    clients,
    clock,
    signal: new AbortController().signal,
    ...given,
  });
}
const on =
  (what: string, way: Way, nth = 1): ((asked: Asked) => Way) =>
  (asked) =>
    asked.what === what && asked.nth >= nth ? way : { kind: 'through' };
const once =
  (what: string, way: Way, nth = 1): ((asked: Asked) => Way) =>
  (asked) =>
    asked.what === what && asked.nth === nth ? way : { kind: 'through' };
const count = (what: string): number => proxy.asked.filter((asked) => asked.what === what).length;
const manifestsIn = async (): Promise<string[]> =>
  (await keysIn(truth)).filter((key) => key.endsWith('.json'));

/** It rejects with the code; no manifest, no part of an upload and no program is left. */
async function expectRed(backup: Promise<unknown>, code: string, words?: RegExp): Promise<void> {
  const error: unknown = await backup.then(
    () => new Error('it was taken for good'),
    (thrown: unknown) => thrown,
  );
  expect(error).toMatchObject({ code });
  if (words !== undefined) expect(String(error)).toMatch(words);
  expect(String(error)).not.toContain(server.key.secret);
  expect(await manifestsIn()).toEqual([]);
  expect(await unfinishedIn(truth)).toEqual([]);
  expect(dumpPrograms(process.pid)).toEqual([]);
}

describe('a backup to a real S3 server', () => {
  test('goes up in parts whose checksums the server vouches for, and comes back the same', async () => {
    const manifest = await take();
    expect(count('PUT part')).toBeGreaterThan(2);
    // The server answered for every byte: only the table of contents is fetched.
    expect(count('GET')).toBe(1);
    const { object, manifest: beside } = keysOf(manifest);
    expect(await admin.keys(BUCKET)).toEqual([`eu/prod/${object}`, `eu/prod/${beside}`]);
    await cluster.sql('postgres', 'create database again owner tenant');
    const target = { kind: 'url', url: url('again') } as const;
    const { signal } = new AbortController();
    await restoreBackup({ manifest, store, target, clients, clock, signal });
    expect(await compareWith(manifest, target, signal)).toEqual([]);
    await cluster.sql('postgres', 'drop database again');
  });

  test('of a small database is one request for each of its two objects', async () => {
    await take({ source: { kind: 'url', url: url('small') } });
    expect(count('PUT')).toBe(2);
    expect(count('POST begin')).toBe(0);
  });

  test('says the storage class and the key that the bucket is to use', async () => {
    const refused: Way = { kind: 'answer', status: 400, code: 'KMS.NotFoundException' };
    proxy.way = (asked) => (asked.method === 'HEAD' ? { kind: 'through' } : refused);
    const special = { storageClass: 'STANDARD_IA', kmsKey: 'alias/backups' };
    const kept = await openStore({ ...storeAt(proxy.url), ...special }, PATIENCE);
    await expectRed(take({ store: kept }), 'backup_store_refused', /KMS.NotFoundException/);
    await expectRed(
      take({ store: kept, source: { kind: 'url', url: url('small') } }),
      'backup_store_refused',
    );
    kept.close();
    for (const what of ['POST begin', 'PUT']) {
      expect(proxy.asked.find((asked) => asked.what === what)?.headers).toMatchObject({
        'x-amz-storage-class': 'STANDARD_IA',
        'x-amz-server-side-encryption': 'aws:kms',
        'x-amz-server-side-encryption-aws-kms-key-id': 'alias/backups',
      });
    }
  });

  test('is read back whole where the server keeps no checksums', async () => {
    // Other servers than AWS may forget them; what then comes back is looked at byte by byte.
    proxy.hideChecksums = true;
    const manifest = await take();
    expect(count('GET')).toBe(2);
    expect(manifest.bytes).toBeGreaterThan(0);
  });

  test('that meets a few errors of the server is good all the same', async () => {
    proxy.way = (asked) =>
      asked.nth === 1 && asked.what !== 'GET'
        ? { kind: 'answer', status: 503, code: 'SlowDown' }
        : { kind: 'through' };
    await take();
    expect(await manifestsIn()).toHaveLength(1);
  });

  test('over a slow line is good all the same', async () => {
    proxy.way = on('PUT part', { kind: 'slow', pauseMs: 4 });
    await take();
    expect(await manifestsIn()).toHaveLength(1);
  });

  test('of which one part is cut in the middle sends that part again', async () => {
    proxy.way = once('PUT part', { kind: 'cut', afterBytes: 1_000_000 }, 2);
    await take();
    expect(await manifestsIn()).toHaveLength(1);
  });
});

describe('a backup to S3 is red and leaves no part behind', () => {
  test.each([
    [
      'when the store answers 503 from some part on',
      on('PUT part', { kind: 'answer', status: 503, code: 'SlowDown' }, 2),
    ],
    ['when every part is cut in the middle', on('PUT part', { kind: 'cut', afterBytes: 3_000_000 }, 2)],
    ['when the store falls silent in the middle', on('PUT part', { kind: 'silent' }, 2)],
    [
      'when it cannot be completed',
      on('POST complete', { kind: 'answer', status: 500, code: 'InternalError' }),
    ],
  ])('%s', async (_name, way) => {
    proxy.way = way;
    await expectRed(take(), 'backup_store_unavailable');
  });

  test('when something on the way changes bytes: the server checks what it gets', async () => {
    proxy.way = on('PUT part', { kind: 'damage' }, 2);
    await expectRed(take(), 'backup_mismatch', /other bytes than were sent/);
  });

  test('when the object was completed with the wrong bytes', async () => {
    proxy.way = once('POST complete', {
      kind: 'meanwhile',
      act: async () => {
        const [key = ''] = await admin.keys(BUCKET);
        const bytes = await admin.get(BUCKET, key);
        bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
        await admin.put(BUCKET, key, bytes);
      },
    });
    await expectRed(take(), 'backup_mismatch', /not that of|not what was sent/);
  });

  test('when the bucket is gone', async () => {
    await admin.remove(BUCKET);
    const error: unknown = await take().catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'backup_store_refused' });
    expect(String(error)).toMatch(/NoSuchBucket|NotFound/);
    expect(dumpPrograms(process.pid)).toEqual([]);
  });

  test('when pg_dump is killed midway', async () => {
    let chunks = 0;
    const backup = take({
      reached(point) {
        if (point !== 'dumping') return;
        chunks += 1;
        // More than a part: an upload has begun.
        if (chunks !== 200) return;
        const found = dumpPrograms(process.pid).find((one) => one.name === 'pg_dump');
        if (found !== undefined) process.kill(found.pid, 'SIGKILL');
      },
    });
    await expectRed(backup, 'backup_dump_failed', /SIGKILL/);
    expect(count('POST begin')).toBe(1);
  });

  test('when it is called off', async () => {
    const calling = new AbortController();
    proxy.way = (asked) => {
      if (asked.what === 'PUT part' && asked.nth === 2) calling.abort(new Error('called off'));
      return { kind: 'through' };
    };
    await expect(take({ signal: calling.signal })).rejects.toThrow('called off');
    expect(await unfinishedIn(truth)).toEqual([]);
    expect(await keysIn(truth)).toEqual([]);
    expect(dumpPrograms(process.pid)).toEqual([]);
  });
});

describe('what cannot be taken back at once is swept up later', () => {
  const sweepOf = (own: string[], before = 0): Promise<unknown[]> =>
    sweep({ store, app: 'shop', tenant: 'acme', own, before, signal: AbortSignal.timeout(20_000) });

  test('when the credentials end midway, which may abort no more either', async () => {
    const expired: Way = { kind: 'answer', status: 400, code: 'ExpiredToken' };
    let over = false;
    proxy.way = (asked) => {
      over ||= asked.what === 'PUT part' && asked.nth === 3;
      return over ? expired : { kind: 'through' };
    };
    const who = identity();
    await expect(take({ identity: who })).rejects.toMatchObject({ code: 'backup_store_refused' });
    expect(await unfinishedIn(truth)).toHaveLength(1);
    expect(await manifestsIn()).toEqual([]);
    proxy.way = null;
    expect(await sweepOf([who.backup])).toHaveLength(1);
    expect(await unfinishedIn(truth)).toEqual([]);
  });

  test('when two hosts are at the same tenant: neither takes the upload of the other', async () => {
    const mine = identity();
    const swept: Promise<unknown[]>[] = [];
    proxy.way = (asked) => {
      if (asked.what === 'PUT part' && asked.nth === 3)
        swept.push(sweepOf([identity().backup], Date.now() - 3_600_000));
      return { kind: 'through' };
    };
    const [manifest] = await Promise.all([take({ identity: mine }), take()]);
    expect(manifest.backup).toBe(mine.backup);
    expect(await Promise.all(swept)).toEqual([[]]);
    expect(await manifestsIn()).toHaveLength(2);
  });

  /** Another process, which ends at a point as if the power had gone. */
  async function killedAt(
    point: string,
    who: BackupIdentity,
    options: readonly string[] = [],
  ): Promise<void> {
    const folder = mkdtempSync(join(tmpdir(), 'berth-backup-'));
    const program = join(import.meta.dirname, '../support/backup-process.ts');
    const child = start([process.execPath, ...options, program], {
      logFile: join(folder, 'log'),
      env: {
        BERTH_TEST_BACKUP: JSON.stringify({
          url: url(),
          store: storeAt(server.url),
          identity: who,
          at: point,
          afterChunks: 250,
        }),
        TEST_CLOCK_AHEAD_MS: String(86_400_000),
      },
    });
    expect((await child.ended).signal).toBe('SIGKILL');
    rmSync(folder, { recursive: true });
  }

  test.each(['dumping', 'uploaded'])('when the agent is killed at "%s"', async (point) => {
    const who = identity();
    await killedAt(point, who);
    expect(await unfinishedIn(truth)).toHaveLength(point === 'dumping' ? 1 : 0);
    await sweepOf([who.backup]);
    expect(await unfinishedIn(truth)).toEqual([]);
    expect(await manifestsIn()).toEqual([]);
  });

  test('on a host whose clock is a day ahead, a backup is good: the store says what time it is', async () => {
    const who = identity();
    await killedAt('done', who, ['--import', join(import.meta.dirname, '../support/shifted-clock.mjs')]);
    expect(await manifestsIn()).toEqual([keysOf(who).manifest]);
    const { signal } = new AbortController();
    const manifest = await readManifest(truth, who, signal);
    expect(manifest.takenAt).toBeGreaterThan(Date.now() + 80_000_000);
  });
});
