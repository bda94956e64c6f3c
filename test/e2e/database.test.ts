import { spawn, type ChildProcess } from 'node:child_process';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createBeyond, type Beyond } from '../integration/support/beyond.ts';
import { databaseClientImage } from '../integration/support/images.ts';
import { startPostgres, type PostgresCluster } from '../integration/support/postgres.ts';
import type { AgentProcess } from '../support/agent.ts';
import { dockerAt, sharedSocket } from '../support/docker.ts';
import { startFleet, type Fleet } from '../support/fleet.ts';
import { foundBelow, foundIn, plant } from '../support/planted.ts';
import { berthIn, type Said } from './support/berth.ts';

/**
 * Databases of tenants from `berth database add` to a query in a container: a real coordinator, agent, Docker and
 * PostgreSQL, which stands on another machine (a network namespace), since tenants never reach their own host.
 */

const docker = dockerAt(sharedSocket());
const berth = berthIn('berth-database-');
const ADMIN = plant('the administrator’s password', (word) => `${word} @:/?#%ü`);

let cluster: PostgresCluster;
let beyond: Beyond;
let forwarder: ChildProcess;
let fleet: Fleet;
let agent: AgentProcess;

/** Carries connections of the other machine's port 5432 to the server's socket on this one. */
const FORWARD = `
const net = require('node:net');
net.createServer((from) => {
  const to = net.connect(process.argv[1]);
  from.pipe(to).pipe(from);
  for (const each of [from, to]) each.on('error', () => { from.destroy(); to.destroy(); });
}).listen(5432, '0.0.0.0', () => console.log('ready'));
`;

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise<void>((resolve) => server.close(() => resolve()));
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

const socketOf = (): string => join(cluster.dir, `.s.PGSQL.${cluster.port ?? 5432}`);

async function asAdmin<T>(work: (client: pg.Client) => Promise<T>, database = 'postgres'): Promise<T> {
  const port = cluster.port ?? 5432;
  const client = new pg.Client({ host: cluster.dir, port, user: 'berth', database });
  client.on('error', () => {});
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

const run = (args: readonly string[], stdin = ''): Promise<Said> =>
  berth.run(args, {
    stdin,
    env: {
      BERTH_URL: fleet.coordinator.url(),
      BERTH_TOKEN: readFileSync(join(fleet.dir, 'admin-token'), 'utf8').trim(),
    },
  });

const address = (): string =>
  `postgres://maker:${encodeURIComponent(String(ADMIN.value))}@${beyond.internet}:5432/postgres?sslmode=disable`;

/** What a command says in a tenant's container. */
async function inside(tenant: string, script: string): Promise<string> {
  const web = (await fleet.containers(tenant)).find((each) => each.state === 'running');
  if (web === undefined) throw new Error(`nothing of ${tenant} runs`);
  const exec = await docker
    .getContainer(web.name)
    .exec({ Cmd: ['sh', '-c', script], AttachStdout: true, AttachStderr: true, Tty: true });
  const stream = await exec.start({ Tty: true });
  let text = '';
  stream.on('data', (chunk: Buffer) => (text += chunk.toString('utf8')));
  await new Promise((resolve) => stream.on('end', resolve));
  return text.replaceAll('\r', '').trim();
}
const query = (tenant: string, sql: string, url = '"$DATABASE_URL"'): Promise<string> =>
  inside(tenant, `psql ${url} -P pager=off -XAtc "${sql}" 2>&1`);

async function removed(tenant: string): Promise<void> {
  const { afterEvent } = await fleet.api().deleteTenant({ params: { tenant } });
  await fleet.journal.until(
    `${tenant} removed`,
    (event) => event.tenant === tenant && event.kind === 'tenant.removed',
    { after: afterEvent, timeoutMs: 60_000 },
  );
}

beforeAll(async () => {
  const image = await databaseClientImage(docker);
  cluster = await startPostgres({ listen: await freePort() });
  await asAdmin(async (client) => {
    const literal = client.escapeLiteral(String(ADMIN.value));
    await client.query(`create role maker createdb createrole login password ${literal}`);
  });
  fleet = await startFleet();
  agent = await fleet.addAgent();
  beyond = await createBeyond(agent.name);
  forwarder = spawn('ip', ['netns', 'exec', beyond.space, process.execPath, '-e', FORWARD, socketOf()], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await new Promise((resolve) => forwarder.stdout?.once('data', resolve));
  await fleet.apply(
    'shop',
    `
services:
  web:
    image: ${image}
    command: ["sh", "-c", "exec serve"]
    environment: { VERSION: "\${VERSION:-1}", PGURL: "\${DATABASE_URL}" }
    tmpfs: [/tmp]
    healthcheck: { test: ["CMD", "wget", "-q", "-O", "/dev/null", "http://127.0.0.1:8080/"], interval: 1s, start_interval: 100ms }
    stop_grace_period: 1s
    x-berth: { route: { port: 8080 }, drain: 1s }
x-berth:
  bake: 500ms
  database: { engine: postgres, connections: 4 }
  release: { service: web, command: ["sh", "-c", 'psql "$$PGURL" -c "create table if not exists notes (text text)"'] }
`,
  );
});
afterAll(async () => {
  forwarder?.kill('SIGKILL');
  await fleet?.close();
  await beyond?.close();
  await cluster?.stop();
  berth.remove();
});

describe('databases of tenants', () => {
  test('need a server, which is said with what to do', async () => {
    const said = await run(['tenant', 'create', 'acme', '--app', 'shop', '--domain', 'acme.test']);
    expect(said.code).not.toBe(0);
    expect(said.stderr).toMatch(/no server is registered. Add one:\s+berth database add main --url -/);
  });

  test('are made on a server that is given on stdin, never on the command line', async () => {
    const onLine = await run(['database', 'add', 'main', '--url', 'postgres://maker:x@db.test/postgres']);
    expect(onLine.code).toBe(2);
    expect(onLine.stderr).toMatch(/can be read by everybody/);
    const wrong = await run(['database', 'add', 'main', '--url', '-'], address().replace('%3A', 'X'));
    expect(wrong.stderr).toMatch(/refuses the password of maker/);
    const said = await run(['database', 'add', 'main', '--url', '-'], `${address()}\n`);
    expect(said.stderr).toBe('');
    expect(said.stdout).toMatch(/PostgreSQL \d+[\s\S]*databases and roles[\s\S]*not encrypted[\s\S]*sealed/);
    expect((await run(['database', 'list'])).stdout).toMatch(
      new RegExp(`main \\(default\\)\\s+${beyond.internet}:5432 +PostgreSQL [0-9.]+ +disable`),
    );
  });

  test('come with each tenant: its release command and its services have the address of its own', async () => {
    await fleet.create('acme', 'shop');
    await fleet.create('globex', 'shop');
    for (const tenant of ['acme', 'globex']) {
      expect(await query(tenant, `insert into notes values ('of ${tenant}')`)).toBe('INSERT 0 1');
      expect(await query(tenant, 'select * from notes', '"$PGURL"')).toBe(`of ${tenant}`);
      expect(await query(tenant, 'select current_database(), current_user')).toBe(
        `berth_t_${tenant}|berth_t_${tenant}`,
      );
    }
    const shown = await run(['tenant', 'show', 'acme']);
    expect(shown.stdout).toMatch(/database +berth_t_acme on main, role berth_t_acme, 4 connections/);
    expect((await run(['tenant', 'explain', 'acme'])).stdout).toMatch(/database berth_t_acme on main/);
    const { values } = await fleet.api().tenantConfig({ params: { tenant: 'acme' } });
    expect(JSON.stringify(values)).not.toMatch(/postgres:/);
  });

  test('cannot be connected to by another tenant, with whatever it has', async () => {
    const url = await inside('acme', 'echo $DATABASE_URL');
    const theirs = url.replace('/berth_t_acme?', '/berth_t_globex?');
    expect(await query('acme', 'select * from notes', `'${theirs}'`)).toMatch(
      /permission denied for database "berth_t_globex"/,
    );
    const asThem = theirs.replace('//berth_t_acme:', '//berth_t_globex:');
    expect(await query('acme', 'select * from notes', `'${asThem}'`)).toMatch(
      /password authentication failed for user "berth_t_globex"/,
    );
    expect(await query('acme', 'set role berth_t_globex')).toMatch(/permission denied/);
  });

  test('have no password in anything that is written down, and survive a new key', async () => {
    const own = await inside('acme', 'echo $DATABASE_URL');
    const secret = new URL(own).password;
    const log = readFileSync(fleet.coordinator.logFile);
    const audit = JSON.stringify(await fleet.api().listAudit({ query: { limit: 500 } }));
    expect(audit).toMatch(/tenant-database.made/);
    for (const text of [log.toString(), audit]) {
      expect(text).not.toContain(secret);
      expect(foundIn(text, [ADMIN])).toEqual([]);
    }
    expect(foundBelow(fleet.dir, [ADMIN], () => false)).toEqual([]);
    for (const name of ['berth.db', 'berth.db-wal'])
      expect(readFileSync(join(fleet.dir, name)).includes(secret), name).toBe(false);
    expect((await run(['secret', 'rotate-key', '-y'])).code).toBe(0);
    expect((await run(['database', 'check', 'main'])).stdout).toMatch(/PostgreSQL \d+/);
  });

  test('are waited for by nobody while the server is away: the tenant is not made, and can be when it is back', async () => {
    await cluster.pause();
    const create = ['tenant', 'create', 'initech', '--app', 'shop', '--domain', 'initech.test'];
    const said = await run(create);
    expect(said.code).not.toBe(0);
    expect(said.stderr).toMatch(/Database server main: /);
    await expect(fleet.api().showTenant({ params: { tenant: 'initech' } })).rejects.toMatchObject({
      code: 'not_found',
    });
    await cluster.restart();
    await fleet.create('initech', 'shop');
    expect(await query('initech', 'select count(*) from notes')).toBe('0');
  });

  test('are gone on with when the coordinator was killed between the role and the database', async () => {
    await asAdmin(async (client) => {
      await client.query('select pg_advisory_lock(7112020)');
      const asked = fleet
        .api()
        .createTenant({
          body: { tenant: 'cut', app: 'shop', domains: ['cut.test'], host: agent.host() },
        })
        .then(
          () => 'made',
          () => 'cut off',
        );
      const waits = `select count(*)::int as n from pg_locks where locktype = 'advisory' and not granted`;
      await until(async () => (await client.query<{ n: number }>(waits)).rows[0]?.n === 1);
      // Whoever looks which databases there are waits from here on; roles can be made.
      await client.query('begin');
      await client.query('lock table pg_database in access exclusive mode');
      await client.query('select pg_advisory_unlock(7112020)');
      const role = `select count(*)::int as n from pg_roles where rolname = 'berth_t_cut'`;
      await until(async () => (await client.query<{ n: number }>(role)).rows[0]?.n === 1);
      await fleet.coordinator.kill('SIGKILL');
      expect(await asked).toBe('cut off');
      await client.query('rollback');
    });
    await fleet.coordinator.start();
    await expect(fleet.api().showTenant({ params: { tenant: 'cut' } })).rejects.toMatchObject({
      code: 'not_found',
    });
    expect((await run(['database', 'show', 'main'])).stdout).toMatch(/cut +shop +.*\(begun; the\s+next try/);
    const params = { host: agent.host() };
    await until(async () => (await fleet.api().showHost({ params })).connection === 'online');
    await fleet.create('cut', 'shop');
    expect(await query('cut', 'select current_database()')).toBe('berth_t_cut');
  });

  test('are kept when the tenant is deleted, taken up by its successor, and deleted only when somebody says so', async () => {
    const before = await inside('acme', 'echo $DATABASE_URL');
    await removed('acme');
    expect((await run(['database', 'show', 'main'])).stdout).toMatch(
      /Left by tenants that were deleted[\s\S]*acme +shop +berth_t_acme on main/,
    );
    const kept = () =>
      asAdmin(
        async (client) => (await client.query<{ text: string }>('select * from notes')).rows,
        'berth_t_acme',
      );
    expect(await kept()).toEqual([{ text: 'of acme' }]);
    const again = ['tenant', 'create', 'acme', '--app', 'shop', '--domain', 'acme.test'];
    expect((await run(again)).stderr).toMatch(/--take-up-database/);
    const taken = await run([...again, '--take-up-database']);
    expect(taken.stdout).toMatch(/database +berth_t_acme on main/);
    expect(await query('acme', 'select * from notes')).toBe('of acme');
    expect(await query('acme', 'select 1', `'${before}'`)).toMatch(/password authentication failed/);

    const there = await run(['database', 'drop-tenant', 'acme', '--yes-delete']);
    expect(there.stderr).toMatch(/Delete the tenant\s+first/);
    await removed('acme');
    expect((await run(['database', 'drop-tenant', 'acme'])).code).toBe(2);
    const gone = await run(['database', 'drop-tenant', 'acme', '--yes-delete']);
    expect(gone.stdout).toMatch(/Database berth_t_acme and role berth_t_acme are gone from main/);
    const left = await asAdmin(
      async (client) =>
        (
          await client.query<{ name: string }>(
            `select datname as name from pg_database union select rolname from pg_roles order by 1`,
          )
        ).rows,
    );
    expect(JSON.stringify(left)).not.toContain('berth_t_acme');
    expect(JSON.stringify(left)).toContain('berth_t_globex');
  });
});

async function until(holds: () => Promise<boolean>): Promise<void> {
  for (let round = 0; round < 200; round += 1) {
    if (await holds()) return;
    await sleep(50);
  }
  throw new Error('it did not come to be');
}
