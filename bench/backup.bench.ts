import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BackupManifest } from '@berth/shared/domain/backup';
import { z } from 'zod';
import { startCluster, type Cluster } from '../test/support/cluster.ts';
import { median, rounded, runBench, type Bench } from './support/bench.ts';
import { bundled, startChild } from './support/child.ts';

/**
 * A backup of a real PostgreSQL into a directory, with everything that makes it good, beside a shell's
 * `pg_dump -Fc -Z0 | zstd -3 | sha256sum > file`, and a restore beside `zstd -d | pg_restore`. Then many small databases.
 * Usage: npm run bench -- backup [--json] [--quick]; BERTH_BENCH_BACKUP_GB=0.1,1,4 for other sizes
 */
const MB = 1e6;
const Answer = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('ready') }),
  z.object({
    kind: z.literal('done'),
    ms: z.number(),
    cpuSeconds: z.number(),
    peakMb: z.number(),
    manifests: z.array(BackupManifest),
  }),
]);
type Done = Extract<z.infer<typeof Answer>, { kind: 'done' }>;

/** Of a small tenant: twenty tables with keys, a few hundred rows. */
const SMALL = Array.from(
  { length: 20 },
  (_, at) => `create table t${at} (id serial primary key, name text not null, at timestamptz default now());
    insert into t${at} (name) select md5(i::text) from generate_series(1, 20) i; create index on t${at} (name);`,
).join('\n');

await runBench(async (bench) => {
  const sizes = (process.env.BERTH_BENCH_BACKUP_GB ?? (bench.quick ? '0.05' : '0.1,1'))
    .split(',')
    .map(Number);
  const many = bench.quick ? 10 : 200;
  const home = await mkdtemp(join(tmpdir(), 'berth-bench-backup-'));
  bench.defer('files', () => rm(home, { recursive: true, force: true }));
  const cluster = await startCluster(['max_wal_size=8GB', 'shared_buffers=256MB', 'checkpoint_timeout=1h']);
  bench.defer('PostgreSQL', () => cluster.stop());
  const [program = ''] = await bundled(['backup-job'], join(home, 'programs'));
  let folders = 0;
  const job = async (what: object): Promise<Done> => {
    const child = startChild(program, [], Answer);
    try {
      await child.ask();
      const answer = await child.ask(what);
      if (answer.kind !== 'done') throw new Error('the job said nothing of its end');
      return answer;
    } finally {
      await child.kill();
    }
  };
  const take = async (databases: readonly string[]): Promise<Done & { folder: string }> => {
    const folder = join(home, `store-${(folders += 1)}`);
    const done = await job({ kind: 'take', urls: databases.map((name) => cluster.url(name)), folder });
    return { ...done, folder };
  };

  const bySize = [];
  let backup: { manifest: BackupManifest; folder: string; gb: number } | null = null;
  for (const gb of sizes) {
    const name = `size_${String(gb).replace('.', '_')}`;
    bench.say(`making a database of ${gb} GB`);
    await fill(cluster, name, gb);
    const rounds = gb > 1 ? 1 : gb === 1 ? 2 : 3;
    const floors: number[] = [];
    const takes: Done[] = [];
    await floorOf(cluster, name, home);
    for (let round = 0; round < rounds; round += 1) {
      bench.signal.throwIfAborted();
      floors.push(await floorOf(cluster, name, home));
      const { folder, ...done } = await take([name]);
      takes.push(done);
      if (backup !== null) await rm(backup.folder, { recursive: true, force: true });
      backup = { manifest: firstOf(done.manifests), folder, gb };
    }
    const dumpMb = firstOf(firstOf(takes).manifests).dumpBytes / MB;
    const ms = median(takes.map((each) => each.ms));
    const floorMs = median(floors);
    const size = {
      gb,
      mbPerS: rounded(dumpMb / (ms / 1000), 1),
      floorMbPerS: rounded(dumpMb / (floorMs / 1000), 1),
      ratio: rounded(floorMs / ms),
      nodeCpuSecondsPerGb: rounded(median(takes.map((each) => each.cpuSeconds)) / (dumpMb / 1000)),
      peakMb: rounded(Math.max(...takes.map((each) => each.peakMb)), 1),
    };
    bench.say(JSON.stringify(size));
    bySize.push(size);
  }
  if (backup === null) throw new Error('no size was asked for');
  const restore = await restored(bench, cluster, backup, job);

  bench.say(`making ${many} small databases`);
  await cluster.sql('postgres', 'create database small');
  await cluster.sql('small', SMALL);
  const names = Array.from({ length: many }, (_, at) => `small_${at}`);
  for (const name of names) await cluster.sql('postgres', `create database ${name} template small`);
  const shell: number[] = [];
  for (const name of names) shell.push(await floorOf(cluster, name, home));
  const row = await take(names);
  const small = {
    databases: many,
    msEach: rounded(row.ms / many, 1),
    floorMsEach: rounded(shell.reduce((sum, each) => sum + each, 0) / many, 1),
    cpuMsEach: rounded((row.cpuSeconds * 1000) / many, 1),
    peakMb: rounded(row.peakMb, 1),
  };
  bench.say(JSON.stringify(small));

  const last = bySize.at(-1);
  if (last === undefined) throw new Error('no size was measured');
  const { ratio, mbPerS, floorMbPerS, nodeCpuSecondsPerGb } = last;
  const peakMb = Math.max(...bySize.map((each) => each.peakMb));
  return {
    result: { ratio, mbPerS, floorMbPerS, nodeCpuSecondsPerGb, peakMb, sizes: bySize, small, restore },
    rows: [
      { what: `backup of ${last.gb} GB, MB/s`, value: mbPerS, floor: floorMbPerS, budget: '>= 0.85x' },
      { what: 'processor time of Node, s per GB', value: nodeCpuSecondsPerGb },
      {
        what: 'peak memory by size, MB',
        value: bySize.map((each) => each.peakMb).join(' / '),
        budget: 'flat',
      },
      { what: `restore of ${backup.gb} GB, MB/s`, value: restore.mbPerS, floor: restore.floorMbPerS },
      { what: `${many} small databases, ms each`, value: small.msEach, floor: small.floorMsEach },
    ],
  };
});

/** Rows as an app has them: half of it words that repeat, half of it keys that do not. */
async function fill(cluster: Cluster, name: string, gb: number): Promise<void> {
  await cluster.sql('postgres', `create database ${name}`);
  // Some 230 bytes a row in a dump.
  const rows = Math.round((gb * 1e9) / 230);
  await cluster.sql(
    name,
    `create unlogged table orders (id bigint, customer int, state text, placed timestamptz, token text, note text);
     insert into orders select i, (i::bigint * 7919) % 100000, (array['new', 'paid', 'sent', 'returned'])[1 + i % 4],
       '2026-01-01'::timestamptz + i * interval '1 second', md5(i::text) || md5((i + 1)::text),
       'order ' || i || ' of customer ' || (i::bigint * 7919) % 100000 || ', to be delivered to the usual address by noon'
       from generate_series(1, ${rows}) i;
     alter table orders add primary key (id); create index on orders (customer); vacuum (analyze) orders;`,
  );
}

/** Milliseconds that the shell's pipeline takes. */
async function floorOf(cluster: Cluster, name: string, home: string): Promise<number> {
  const out = openSync(join(home, 'sum'), 'w');
  const env = environment(cluster, name);
  const began = performance.now();
  const dump = spawn(join(cluster.bin, 'pg_dump'), ['-Fc', '-Z0'], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const zstd = spawn('zstd', ['-3', '-q', '-c'], { stdio: [dump.stdout, 'pipe', 'inherit'] });
  dump.stdout?.destroy();
  const sum = spawn('sha256sum', [], { stdio: [zstd.stdout, out, 'inherit'] });
  zstd.stdout?.destroy();
  await Promise.all([ended(dump), ended(zstd), ended(sum)]);
  closeSync(out);
  return performance.now() - began;
}

async function restored(
  bench: Bench,
  cluster: Cluster,
  { manifest, folder, gb }: { manifest: BackupManifest; folder: string; gb: number },
  job: (what: object) => Promise<Done>,
): Promise<{ ratio: number; mbPerS: number; floorMbPerS: number; peakMb: number }> {
  bench.say(`restoring ${gb} GB`);
  const dumpMb = manifest.dumpBytes / MB;
  const object = join(folder, manifest.app, manifest.tenant, `${manifest.backup}.dump.zst`);
  const fresh = async (): Promise<void> => {
    await cluster.sql('postgres', 'drop database if exists again');
    await cluster.sql('postgres', 'create database again');
  };
  const floors: number[] = [];
  const ours: Done[] = [];
  for (let round = 0; round < (gb > 1 ? 1 : 2); round += 1) {
    await fresh();
    const began = performance.now();
    const zstd = spawn('zstd', ['-d', '-q', '-c', object], { stdio: ['ignore', 'pipe', 'inherit'] });
    const restore = spawn(join(cluster.bin, 'pg_restore'), ['--no-owner', '--dbname=again'], {
      env: environment(cluster, 'again'),
      stdio: [zstd.stdout, 'ignore', 'inherit'],
    });
    zstd.stdout?.destroy();
    await Promise.all([ended(zstd), ended(restore)]);
    floors.push(performance.now() - began);
    await fresh();
    ours.push(await job({ kind: 'restore', url: cluster.url('again'), folder, manifest }));
  }
  await cluster.sql('postgres', 'drop database again');
  const ms = median(ours.map((each) => each.ms));
  const floorMs = median(floors);
  const figures = {
    gb,
    ratio: rounded(floorMs / ms),
    mbPerS: rounded(dumpMb / (ms / 1000), 1),
    floorMbPerS: rounded(dumpMb / (floorMs / 1000), 1),
    nodeCpuSecondsPerGb: rounded(median(ours.map((each) => each.cpuSeconds)) / (dumpMb / 1000)),
    peakMb: rounded(Math.max(...ours.map((each) => each.peakMb)), 1),
  };
  bench.say(JSON.stringify(figures));
  return figures;
}

function environment(cluster: Cluster, database: string): NodeJS.ProcessEnv {
  const url = new URL(cluster.url(database));
  return {
    PATH: process.env.PATH,
    PGHOST: url.searchParams.get('host') ?? '',
    PGUSER: url.username,
    PGPASSWORD: url.password,
    PGDATABASE: database,
  };
}

async function ended(child: ChildProcess): Promise<void> {
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', resolve);
  });
  if (code !== 0) throw new Error(`${child.spawnfile} ended with ${code}`);
}

function firstOf<T>(list: readonly T[]): T {
  const [first] = list;
  if (first === undefined) throw new Error('there is none');
  return first;
}
