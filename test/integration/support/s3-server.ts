import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { run, tailOf } from '../../support/processes.ts';

/** A real S3 server of the test's own: Ceph's object gateway on loopback, its objects in memory. */
export interface S3Server {
  url: string;
  region: string;
  /** A user that may do everything. */
  key: { id: string; secret: string };
  stop(): Promise<void>;
}

const TREE = process.env.BERTH_S3_SERVER ?? join(import.meta.dirname, '../../../.berth/tools/s3-server');
const MEMORY = 3 * 1024 ** 3;
const READY_MS = 60_000;

export async function startS3Server(): Promise<S3Server> {
  if (!existsSync(TREE)) throw new Error(`${TREE} is not there; npm test fetches it first`);
  const name = `run-${randomBytes(4).toString('hex')}`;
  const outside = join(TREE, name);
  const started: ChildProcess[] = [];
  const key = {
    id: `AKIA${randomBytes(6).toString('hex').toUpperCase()}`,
    secret: randomBytes(20).toString('hex'),
  };
  const env = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' };
  const conf = ['-c', `/${name}/ceph.conf`];
  const call = async (program: string, args: readonly string[]): Promise<string> => {
    const { stdout } = await run('chroot', [TREE, program, ...args], { env, timeout: READY_MS });
    return stdout;
  };
  const daemon = (program: string, args: readonly string[]): void => {
    const child = spawn('chroot', [TREE, program, '-f', ...args, ...conf], { env, stdio: 'ignore' });
    started.push(child);
  };
  const stop = async (): Promise<void> => {
    for (const child of started.reverse()) await ended(child);
    rmSync(outside, { recursive: true, force: true });
  };
  try {
    const [mon, gate] = [await freePort(), await freePort()];
    for (const dir of ['mon', 'osd', 'gate', 'run']) mkdirSync(join(outside, dir), { recursive: true });
    const cluster = randomUUID();
    writeFileSync(join(outside, 'ceph.conf'), settings({ name, cluster, mon, gate }));
    await call('monmaptool', [
      '--create',
      '--add',
      'a',
      `127.0.0.1:${mon}`,
      '--fsid',
      cluster,
      `/${name}/monmap`,
    ]);
    await call('ceph-mon', ['--mkfs', '-i', 'a', '--monmap', `/${name}/monmap`, ...conf]);
    daemon('ceph-mon', ['-i', 'a']);
    const disk = randomUUID();
    await call('ceph', [...conf, 'osd', 'new', disk]);
    await call('ceph-osd', ['--mkfs', '-i', '0', '--osd-uuid', disk, ...conf]);
    daemon('ceph-osd', ['-i', '0']);
    await until('that its disk is up', async () =>
      (await call('ceph', [...conf, 'osd', 'stat'])).includes('1 up'),
    );
    const user = [
      '--uid=test',
      '--display-name=test',
      `--access-key=${key.id}`,
      `--secret-key=${key.secret}`,
    ];
    await call('radosgw-admin', [...conf, 'user', 'create', ...user]);
    daemon('radosgw', ['-n', 'client.gate']);
    const url = `http://127.0.0.1:${gate}`;
    await until('that it answers', async () => (await fetch(url)).status === 200);
    return { url, region: 'us-east-1', key, stop };
  } catch (thrown) {
    const logs = ['mon.a', 'osd.0', 'client.gate']
      .map((one) => tailOf(join(outside, `${one}.log`), 5))
      .join('\n');
    await stop();
    throw new Error(`the S3 server did not start:\n${logs}`, { cause: thrown });
  }
}

function settings(of: { name: string; cluster: string; mon: number; gate: number }): string {
  const at = `/${of.name}`;
  return Object.entries({
    fsid: of.cluster,
    'mon host': `127.0.0.1:${of.mon}`,
    'mon initial members': 'a',
    'public addr': '127.0.0.1',
    'cluster addr': '127.0.0.1',
    'auth cluster required': 'none',
    'auth service required': 'none',
    'auth client required': 'none',
    // The gateway wants an encrypted connection otherwise, which there is not without keys.
    'ms mon client mode': 'crc',
    'ms client mode': 'crc',
    'ms cluster mode': 'crc',
    'ms service mode': 'crc',
    'run dir': `${at}/run`,
    'admin socket': `${at}/run/$name.asok`,
    'log file': `${at}/$name.log`,
    'mon cluster log file': `${at}/cluster.log`,
    'mon data': `${at}/mon`,
    'mon data avail crit': '0',
    'osd data': `${at}/osd`,
    'osd objectstore': 'memstore',
    'memstore device bytes': String(MEMORY),
    'osd pool default size': '1',
    'osd pool default min size': '1',
    'mon allow pool size one': 'true',
    'osd crush chooseleaf type': '0',
    'mon max pg per osd': '1000',
    'osd pool default pg autoscale mode': 'off',
    'osd pool default pg num': '4',
    'osd pool default pgp num': '4',
    'rgw data': `${at}/gate`,
    'rgw frontends': `beast endpoint=127.0.0.1:${of.gate}`,
    // Its own small pools come up with the first write; fewer of them are quicker.
    'rgw gc obj min wait': '1',
  })
    .map(([name, value]) => `${name} = ${value}\n`)
    .reduce((text, line) => text + line, '[global]\n');
}

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const end = Date.now() + READY_MS;
  for (;;) {
    if (await holds().catch(() => false)) return;
    if (Date.now() > end) throw new Error(`waited ${READY_MS} ms in vain ${what}`);
    await wait(200);
  }
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.kill('SIGKILL');
  await gone;
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise<void>((resolve) => server.close(() => resolve()));
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}
