import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createClient, type ApiClient } from '@berth/shared/api/client';
import { openStore } from '@berth/coordinator/store/open';
import { faultOf } from '../../packages/coordinator/test/support/audit.ts';
import { startCoordinator, type CoordinatorProcess } from './support/coordinator-process.ts';
import { startPostgres, type PostgresCluster } from './support/postgres.ts';

const COMPOSE = (n: number) => `
services:
  web: { image: "registry.test/web:${n}", x-berth: { route: { port: 80 } } }
`;

let dir = '';
let running: CoordinatorProcess[] = [];
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'berth-durable-'));
});
afterEach(async () => {
  for (const each of running) await each.end('SIGKILL');
  running = [];
  rmSync(dir, { recursive: true, force: true });
});

async function start(config: Record<string, unknown> = {}): Promise<CoordinatorProcess> {
  const started = await startCoordinator(dir, config);
  running.push(started);
  return started;
}
const adminToken = () => readFileSync(join(dir, 'admin-token'), 'utf8').trim();

/** Writes as fast as it can until the coordinator is gone. Answers what was acknowledged. */
async function writeUntilGone(client: ApiClient, prefix: string, acknowledged: string[]): Promise<void> {
  for (let n = 0; ; n++) {
    const app = `${prefix}-${n}`;
    try {
      await client.applyApp({ params: { app }, body: { compose: COMPOSE(n) } });
    } catch {
      return;
    }
    acknowledged.push(app);
  }
}

async function reached(list: readonly string[], count: number): Promise<void> {
  while (list.length < count) await new Promise((resolve) => setTimeout(resolve, 5));
}

async function loseNone(
  config: Record<string, unknown>,
  store: Parameters<typeof openStore>[0],
): Promise<void> {
  const acknowledged: string[] = [];
  for (let round = 0; round < 3; round++) {
    const coordinator = await start(config);
    const client = createClient({ url: coordinator.url, token: adminToken() });
    const writers = [0, 1, 2, 3].map((w) => writeUntilGone(client, `r${round}-w${w}`, acknowledged));
    await reached(acknowledged, (round + 1) * 60);
    expect(await coordinator.end('SIGKILL')).toMatchObject({ signal: 'SIGKILL' });
    await Promise.all(writers);
  }
  const opened = await openStore(store);
  try {
    const kept = new Set<string>();
    let after: string | undefined;
    for (;;) {
      const page = await opened.apps({ limit: 500, ...(after === undefined ? {} : { after }) });
      for (const app of page) kept.add(app.app);
      after = page.at(-1)?.app;
      if (page.length < 500) break;
    }
    expect(acknowledged.length).toBeGreaterThanOrEqual(180);
    expect(acknowledged.filter((app) => !kept.has(app))).toEqual([]);
    // Each app that is there has its audit record and its event, and nothing else has one.
    const audit = await opened.audit(undefined, 10_000);
    expect(audit.map((row) => row.id)).toEqual(audit.map((_, n) => audit.length - n));
    const created = audit.filter((row) => row.action === 'app.created').map((row) => row.subject);
    expect([...created].sort()).toEqual([...kept].sort());
    expect(await opened.lastEvent()).toBe(kept.size);
    // And the records are one chain, over every kill.
    expect(await faultOf(opened)).toBeNull();
  } finally {
    await opened.close();
  }
}

describe('a coordinator that is killed while it writes', () => {
  test('has lost nothing it had acknowledged, on SQLite', async () => {
    await loseNone({}, { kind: 'sqlite', path: join(dir, 'berth.db') });
  });
});

describe('a coordinator that is killed while it writes to PostgreSQL', () => {
  let cluster: PostgresCluster | null = null;
  beforeAll(async () => {
    cluster = await startPostgres();
  });
  afterAll(async () => {
    await cluster?.stop();
  });

  test('has lost nothing it had acknowledged', async () => {
    const url = (await cluster?.database()) ?? '';
    await loseNone({ store: { kind: 'postgres', url } }, { kind: 'postgres', url, connections: 2 });
  });

  test('outlives a restart of the database and answers again by itself', async () => {
    const own = await startPostgres();
    try {
      const url = await own.database();
      const coordinator = await start({ store: { kind: 'postgres', url } });
      const client = createClient({ url: coordinator.url, token: adminToken() });
      expect(await client.status()).toMatchObject({ store: 'postgres' });
      await own.restart();
      expect(await client.status()).toMatchObject({ store: 'postgres' });
      expect((await fetch(`${coordinator.url}/readyz`)).status).toBe(200);
    } finally {
      await own.stop();
    }
  });
});

describe('starting and stopping a coordinator', () => {
  test('makes the admin token once, readable by its owner only', async () => {
    const first = await start();
    const token = adminToken();
    expect(statSync(join(dir, 'admin-token')).mode & 0o777).toBe(0o600);
    expect(first.log()).not.toContain(token);
    expect(await first.end('SIGTERM')).toEqual({ code: 0, signal: null });
    const second = await start();
    expect(adminToken()).toBe(token);
    const client = createClient({ url: second.url, token });
    expect((await client.listTokens()).items).toHaveLength(1);
  });

  test('ends event streams and idle connections at once when it is asked to stop', async () => {
    const coordinator = await start();
    const { hostname, port } = new URL(coordinator.url);
    const idle = connect(Number(port), hostname);
    idle.on('error', () => {});
    const stream = await fetch(`${coordinator.url}/api/v1/events/stream`, {
      headers: { authorization: `Bearer ${adminToken()}` },
    });
    const text = stream.text();
    const begun = performance.now();
    expect(await coordinator.end('SIGTERM')).toEqual({ code: 0, signal: null });
    expect(performance.now() - begun).toBeLessThan(4000);
    expect(await text).toContain(': follows');
    idle.destroy();
  });

  test('refuses a configuration with the field and where it came from', async () => {
    await expect(start({ listen: { port: 70_000 } })).rejects.toThrow(/listen\.port: .*coordinator\.json/s);
    await expect(start({ surprise: 1 })).rejects.toThrow(/surprise/);
  });

  test('refuses a port that is taken with its address', async () => {
    const first = await start();
    const port = Number(new URL(first.url).port);
    const store = { kind: 'sqlite', path: join(dir, 'other.db') };
    await expect(start({ listen: { port }, store })).rejects.toThrow(`Cannot listen on 127.0.0.1:${port}`);
  });

  test('refuses a database that another coordinator uses, until that one is gone', async () => {
    const first = await start();
    await expect(start()).rejects.toThrow(/Another coordinator already uses the database/);
    await first.end('SIGKILL');
    expect((await fetch(`${(await start()).url}/readyz`)).status).toBe(200);
  });
});
