import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statfsSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  findClients,
  openStore,
  sweep,
  takeBackup,
  type BackupIdentity,
  type ClientPrograms,
  type ObjectStore,
  type TakeBackup,
} from '@berth/agent/backup/backup';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { clock, dumpPrograms, identity, keysIn, noise, unfinishedIn } from '../support/backups.ts';
import { startCluster, type Cluster } from '../support/cluster.ts';
import { run, start } from '../support/processes.ts';

let cluster: Cluster;
let clients: ClientPrograms;
let folder: string;
let store: ObjectStore;

beforeAll(async () => {
  cluster = await startCluster();
  clients = await findClients();
  await cluster.sql(
    'postgres',
    "create role tenant login password 'pw-0Kay9'; create database app owner tenant",
  );
  await cluster.sql('app', `set role tenant; ${noise(40)}`);
});
afterAll(() => cluster?.stop());
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'berth-backup-'));
  store = await openStore({ kind: 'directory', path: folder });
  return () => rmSync(folder, { recursive: true, force: true });
});

const url = (password = 'pw-0Kay9'): string => cluster.url('app', { user: 'tenant', password });
function take(given: Partial<TakeBackup> = {}): Promise<unknown> {
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

/** It rejects with the code, tells no password, and leaves nothing: no object, no part, no program. */
async function expectRed(backup: Promise<unknown>, code: string, words?: RegExp): Promise<void> {
  const error: unknown = await backup.then(
    () => new Error('it was taken for good'),
    (thrown: unknown) => thrown,
  );
  expect(error).toMatchObject({ code });
  expect(String(error)).not.toMatch(/0Kay9|wr0ng/);
  if (words !== undefined) expect(String(error)).toMatch(words);
  expect(await keysIn(store)).toEqual([]);
  expect(await unfinishedIn(store)).toEqual([]);
  expect(dumpPrograms(process.pid)).toEqual([]);
}

/** Once, in the middle of the dump. */
function midway(act: () => void): Pick<TakeBackup, 'reached'> {
  let chunks = 0;
  return {
    reached(point) {
      if (point !== 'dumping') return;
      chunks += 1;
      if (chunks === 20) act();
    },
  };
}
const killOne = (name: string): void => {
  const found = dumpPrograms(process.pid).find((one) => one.name === name);
  if (found === undefined) throw new Error(`no ${name} runs`);
  process.kill(found.pid, 'SIGKILL');
};

describe('a backup is red and leaves nothing behind', () => {
  test('when pg_dump is killed midway: what came until then is not taken for all', async () => {
    await expectRed(
      take(midway(() => killOne('pg_dump'))),
      'backup_dump_failed',
      /pg_dump was ended by SIGKILL/,
    );
  });

  test('when zstd is killed midway', async () => {
    await expectRed(take(midway(() => killOne('zstd'))), 'backup_dump_failed', /zstd was ended by SIGKILL/);
  });

  test('when the password is wrong', async () => {
    await expectRed(
      take({ source: { kind: 'url', url: url('wr0ng') } }),
      'backup_database_refused',
      /password authentication failed/,
    );
  });

  test('when the role may not read a table, which it names', async () => {
    await cluster.sql('app', 'create table secret_one (n int)');
    try {
      await expectRed(take(), 'backup_database_refused', /secret_one/);
    } finally {
      await cluster.sql('app', 'drop table secret_one');
    }
  });

  test('when the server goes away midway', async () => {
    const halted: Promise<void>[] = [];
    const backup = take(midway(() => void halted.push(cluster.halt())));
    await expectRed(backup, 'backup_database_unavailable');
    expect(halted).toHaveLength(1);
    await Promise.all(halted);
    await expectRed(take(), 'backup_database_unavailable');
    await cluster.start();
  });

  test('when the only client is older than the server, and says which one to install', async () => {
    const old = mkdtempSync(join(tmpdir(), 'berth-old-client-'));
    try {
      for (const name of ['pg_dump', 'pg_restore']) {
        writeFileSync(join(old, name), `#!/bin/sh\necho "${name} (PostgreSQL) 9.6.24"\n`);
        chmodSync(join(old, name), 0o755);
      }
      symlinkSync(clients.zstd, join(old, 'zstd'));
      const found = await findClients({ root: join(old, 'none'), path: old });
      expect(found.postgres.map((one) => one.version)).toEqual(['9.6.24']);
      await expectRed(
        take({ clients: found }),
        'backup_client_missing',
        /newest client on this host is older: 9\.6\.24; install postgresql-client-1\d/,
      );
    } finally {
      rmSync(old, { recursive: true });
    }
  });

  test('when it is called off midway: nothing of it runs a moment later', async () => {
    const calling = new AbortController();
    const backup = take({ signal: calling.signal, ...midway(() => calling.abort(new Error('called off'))) });
    await expect(backup).rejects.toThrow('called off');
    expect(dumpPrograms(process.pid)).toEqual([]);
    expect(await keysIn(store)).toEqual([]);
    expect(await unfinishedIn(store)).toEqual([]);
  });

  test('when the disk is full, and the next one goes well once there is room', async () => {
    const small = join(folder, 'small');
    mkdirSync(small);
    await run('mount', ['-t', 'tmpfs', '-o', 'size=4m,mode=0755', 'berth-test', small]);
    try {
      store = await openStore({ kind: 'directory', path: small });
      const free = statfsSync(small).bavail;
      await expectRed(take(), 'backup_store_refused', /No space is left/);
      expect(free - statfsSync(small).bavail).toBeLessThan(4);
      await run('mount', ['-o', 'remount,size=64m', small]);
      await take();
      expect(await keysIn(store)).toHaveLength(2);
    } finally {
      await run('umount', ['-l', small]);
    }
  });
});

describe('an agent that is killed', () => {
  async function killedAt(point: string, who: BackupIdentity): Promise<void> {
    const child = start([process.execPath, join(import.meta.dirname, '../support/backup-process.ts')], {
      logFile: join(folder, 'log'),
      env: {
        BERTH_TEST_BACKUP: JSON.stringify({
          url: url(),
          store: { kind: 'directory', path: folder },
          identity: who,
          at: point,
          afterChunks: 50,
        }),
      },
    });
    expect(await child.ended).toEqual({ code: null, signal: 'SIGKILL' });
    // What it had started meets a broken pipe.
    await expect.poll(() => dumpPrograms(1), { timeout: 10_000 }).toEqual([]);
  }

  test.each(['snapshot', 'dumping', 'uploaded', 'read-back'])(
    'at "%s" leaves no backup, and no part of one once the next start has swept',
    async (point) => {
      const who = identity();
      await killedAt(point, who);
      expect(existsSync(join(folder, 'shop/acme', `${who.backup}.json`))).toBe(false);
      const others = identity();
      writeFileSync(join(folder, 'other'), '');
      mkdirSync(join(folder, 'shop/acme'), { recursive: true });
      const elsewhere = join(folder, 'shop/acme', `${others.backup}.dump.zst.part`);
      writeFileSync(elsewhere, 'another host is at it');
      const swept = await sweep({
        store,
        app: 'shop',
        tenant: 'acme',
        own: [who.backup],
        before: 0,
        signal: new AbortController().signal,
      });
      expect(swept).toHaveLength(point === 'dumping' ? 1 : 0);
      expect((await unfinishedIn(store)).map(({ key }) => key)).toEqual([
        `shop/acme/${others.backup}.dump.zst`,
      ]);
    },
  );

  test('at "done" leaves a good backup', async () => {
    const who = identity();
    await killedAt('done', who);
    expect(await keysIn(store)).toEqual([`shop/acme/${who.backup}.dump.zst`, `shop/acme/${who.backup}.json`]);
  });
});
