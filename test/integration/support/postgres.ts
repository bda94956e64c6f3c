import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { chownSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import { otherThanRoot, postgresPrograms, serverReady } from '../../support/postgres-programs.ts';

const run = promisify(execFile);

export interface PostgresCluster {
  /** The folder of its socket, where everybody is let in. */
  readonly dir: string;
  /** Where it listens with passwords, if it was asked to. */
  readonly port: number | null;
  /** An empty database of its own, by its address. */
  database(): Promise<string>;
  /** Stops the server, cutting all connections, and starts it again on the same data. */
  restart(): Promise<void>;
  /** Stops it until `restart`. */
  pause(): Promise<void>;
  stop(): Promise<void>;
}

/**
 * A PostgreSQL server of the test's own, on a unix socket in a folder of its own. It does not run as root. `listen`: on a
 * port of 127.0.0.1 too, where passwords are asked for (SCRAM); `tls`: with this certificate and key, PEM.
 */
export async function startPostgres(
  given: { listen?: number; tls?: { cert: string; key: string } } = {},
): Promise<PostgresCluster> {
  const bin = postgresPrograms();
  const dir = mkdtempSync(join(tmpdir(), 'berth-pg-'));
  const user = otherThanRoot();
  if (user !== null) chownSync(dir, user.uid, user.gid);
  const as = user === null ? {} : { uid: user.uid, gid: user.gid };
  let server: ChildProcess;
  try {
    const data = join(dir, 'data');
    const options = ['-D', data, '-U', 'berth', '--auth=trust', '--encoding=UTF8', '--no-sync'];
    await run(join(bin, 'initdb'), options, {
      ...as,
      cwd: dir,
      env: { PATH: '/usr/bin:/bin', LC_ALL: 'C.UTF-8' },
    });
    if (given.listen !== undefined)
      writeFileSync(
        join(data, 'pg_hba.conf'),
        'local all berth trust\nlocal all all scram-sha-256\nhost all all all scram-sha-256\n',
      );
    if (given.tls !== undefined)
      for (const [name, text] of [
        ['server.crt', given.tls.cert],
        ['server.key', given.tls.key],
      ] as const) {
        writeFileSync(join(data, name), text, { mode: 0o600 });
        if (user !== null) chownSync(join(data, name), user.uid, user.gid);
      }
    server = await serve(bin, dir, as, given);
  } catch (thrown) {
    rmSync(dir, { recursive: true, force: true });
    throw thrown;
  }
  let running = server;
  const port = given.listen === undefined ? '' : `&port=${given.listen}`;
  const address = (database: string): string =>
    `postgres://berth@localhost/${database}?host=${encodeURIComponent(dir)}${port}`;
  let made = 0;
  return {
    dir,
    port: given.listen ?? null,
    async database() {
      made += 1;
      const client = new pg.Client({ connectionString: address('postgres') });
      await client.connect();
      try {
        await client.query(`create database berth_${made}`);
      } finally {
        await client.end();
      }
      return address(`berth_${made}`);
    },
    async restart() {
      await end(running);
      running = await serve(bin, dir, as, given);
    },
    pause: () => end(running),
    async stop() {
      await end(running);
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

async function serve(
  bin: string,
  dir: string,
  as: { uid?: number; gid?: number },
  { listen, tls }: { listen?: number; tls?: unknown },
): Promise<ChildProcess> {
  const tcp = listen === undefined ? ['listen_addresses='] : ['listen_addresses=127.0.0.1', `port=${listen}`];
  const settings = [
    ...tcp,
    ...(tls === undefined ? [] : ['ssl=on']),
    `unix_socket_directories=${dir}`,
    'fsync=off',
    'max_connections=60',
  ];
  const options = ['-D', join(dir, 'data'), ...settings.flatMap((one) => ['-c', one])];
  const server = spawn(join(bin, 'postgres'), options, {
    ...as,
    cwd: dir,
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { PATH: '/usr/bin:/bin', LC_ALL: 'C.UTF-8' },
  });
  try {
    await serverReady(server);
  } catch (thrown) {
    await end(server);
    throw thrown;
  }
  return server;
}

/** A fast shutdown, by process id. */
async function end(server: ChildProcess): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return;
  const gone = new Promise<void>((resolve) => server.once('exit', () => resolve()));
  server.kill('SIGINT');
  await gone;
}
