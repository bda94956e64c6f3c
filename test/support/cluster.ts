import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chownSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { otherThanRoot, postgresPrograms, serverReady } from './postgres-programs.ts';

const run = promisify(execFile);

/** A PostgreSQL server with passwords, on a unix socket in a folder of its own. */
export interface Cluster {
  /** Directory of its programs. */
  bin: string;
  /** The address of a database: as the superuser, or as another role. */
  url(database: string, role?: { user: string; password: string }): string;
  /** Runs statements as the superuser with psql; its output. */
  sql(database: string, statements: string): Promise<string>;
  /** Cuts all connections and stops; `start` brings it back on the same data. */
  halt(): Promise<void>;
  start(): Promise<void>;
  stop(): Promise<void>;
}

/** Its superuser is `berth`; role and password are made for each run. It does not run as root. */
export async function startCluster(settings: readonly string[] = []): Promise<Cluster> {
  const bin = postgresPrograms();
  const dir = mkdtempSync(join(tmpdir(), 'berth-dump-pg-'));
  const user = otherThanRoot();
  if (user !== null) chownSync(dir, user.uid, user.gid);
  const as = user === null ? {} : { uid: user.uid, gid: user.gid };
  const env = { PATH: '/usr/bin:/bin', LC_ALL: 'C.UTF-8' };
  const password = randomBytes(12).toString('hex');
  let server: ChildProcess | null = null;
  const serve = async (): Promise<void> => {
    const options = ['listen_addresses=', `unix_socket_directories=${dir}`, 'fsync=off', ...settings];
    server = spawn(
      join(bin, 'postgres'),
      ['-D', join(dir, 'data'), ...options.flatMap((one) => ['-c', one])],
      { ...as, cwd: dir, stdio: ['ignore', 'ignore', 'pipe'], env },
    );
    await serverReady(server);
  };
  const halt = async (): Promise<void> => {
    if (server !== null) await end(server);
    server = null;
  };
  try {
    const file = join(dir, 'password');
    writeFileSync(file, password, { mode: 0o600 });
    if (user !== null) chownSync(file, user.uid, user.gid);
    const options = [
      '-U',
      'berth',
      '--auth=scram-sha-256',
      `--pwfile=${file}`,
      '--encoding=UTF8',
      '--no-sync',
    ];
    await run(join(bin, 'initdb'), ['-D', join(dir, 'data'), ...options], { ...as, cwd: dir, env });
    await serve();
  } catch (thrown) {
    await halt();
    rmSync(dir, { recursive: true, force: true });
    throw thrown;
  }
  return {
    bin,
    url: (database, role = { user: 'berth', password }) =>
      `postgres://${encodeURIComponent(role.user)}:${encodeURIComponent(role.password)}@localhost/${encodeURIComponent(database)}?host=${encodeURIComponent(dir)}`,
    async sql(database, statements) {
      const psql = spawn(join(bin, 'psql'), ['-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1'], {
        env: { ...env, PGHOST: dir, PGUSER: 'berth', PGPASSWORD: password, PGDATABASE: database },
        stdio: ['pipe', 'pipe', 'pipe'],
        cwd: dir,
      });
      let said = '';
      let wrong = '';
      psql.stdout.setEncoding('utf8').on('data', (text: string) => (said += text));
      psql.stderr.setEncoding('utf8').on('data', (text: string) => (wrong += text));
      psql.stdin.end(statements);
      const code = await new Promise<number | null>((resolve) => psql.once('close', resolve));
      if (code !== 0) throw new Error(`psql ended with ${code}: ${wrong}`);
      return said.trim();
    },
    halt,
    start: serve,
    async stop() {
      await halt();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** At once, as a crash would: what waits for it is cut off. */
async function end(server: ChildProcess): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return;
  const gone = new Promise<void>((resolve) => server.once('exit', () => resolve()));
  server.kill('SIGQUIT');
  await gone;
}
