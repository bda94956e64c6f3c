import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';

const run = promisify(execFile);
const bootstrap = new URL('../../scripts/bootstrap/docker.mjs', import.meta.url).href;

const Started = z.object({ socketPath: z.string(), started: z.boolean() });
const Daemon = z.object({
  process: z.object({ pid: z.int(), startTicks: z.string(), argv: z.array(z.string()) }),
  runDir: z.string(),
  bridge: z.object({ name: z.string(), address: z.string() }),
});

const LONG = 'a-long-directory-name-'.repeat(5);
const scratch: string[] = [];
beforeAll(async () => {
  for (const left of await leftOver()) await remove(left);
});
afterEach(async () => {
  const done = await Promise.allSettled(scratch.splice(0).map(remove));
  for (const each of done) if (each.status === 'rejected') throw each.reason;
});

/** A BERTH_HOME whose path is longer than a unix socket's name may be. */
async function makeHome() {
  const outer = await mkdtemp(join(tmpdir(), `berth-docker-${process.pid}-`));
  scratch.push(outer);
  const home = join(outer, LONG);
  await mkdir(home);
  return home;
}

/** The daemon of that home, if it runs, and all of the directory, also when the daemon would not go. */
async function remove(outer: string): Promise<void> {
  const home = join(outer, LONG);
  try {
    if (existsSync(home)) await call(home, 'stopDocker({ purge: true })');
  } finally {
    await rm(outer, { recursive: true, force: true });
  }
}

/** What runs that were killed have left. */
async function leftOver(): Promise<string[]> {
  return (await readdir(tmpdir())).flatMap((name) => {
    const pid = /^berth-docker-(\d+)-/.exec(name)?.[1];
    return pid === undefined || existsSync(`/proc/${pid}`) ? [] : [join(tmpdir(), name)];
  });
}

/** Calls a function of the bootstrap as a process of its own, as npm start does, and resolves to its JSON. */
async function call(home: string, expression: string): Promise<unknown> {
  const source = `import * as docker from '${bootstrap}'; console.log(JSON.stringify(await docker.${expression}));`;
  const env = { ...process.env, BERTH_HOME: home };
  const { stdout } = await run(process.execPath, ['--input-type=module', '-e', source], { env });
  return JSON.parse(stdout) as unknown;
}

const start = async (home: string) => Started.parse(await call(home, 'startOwn()'));
const recordOf = async (home: string) =>
  Daemon.parse(JSON.parse(await readFile(join(home, 'docker', 'daemon.json'), 'utf8')));

function ping(socketPath: string): Promise<number | undefined> {
  return new Promise((resolve) => {
    const asked = request({ socketPath, path: '/_ping' }, (response) => {
      response.resume();
      resolve(response.statusCode);
    });
    asked.on('error', () => resolve(undefined));
    asked.end();
  });
}

describe('a Docker daemon of our own', () => {
  test('starts under a long path, is found again, comes back after a kill, and goes without a trace', async () => {
    const home = await makeHome();
    const first = await start(home);
    expect(first.started).toBe(true);
    expect(first.socketPath.length).toBeLessThan(100);
    expect(await ping(first.socketPath)).toBe(200);
    expect(await start(home)).toEqual({ ...first, started: false });

    const before = await recordOf(home);
    process.kill(before.process.pid, 'SIGKILL');
    expect(await start(home)).toEqual(first);
    expect(await ping(first.socketPath)).toBe(200);
    const after = await recordOf(home);
    expect(after.bridge).toEqual(before.bridge);

    expect(await call(home, 'stopDocker({ purge: true })')).toBe(true);
    expect(await ping(first.socketPath)).toBeUndefined();
    expect(existsSync(join(home, 'docker'))).toBe(false);
    expect(existsSync(after.runDir)).toBe(false);
    await expect(run('ip', ['link', 'show', after.bridge.name])).rejects.toThrow('does not exist');
    for (const table of ['nat', 'filter']) {
      expect((await run('iptables', ['-w', '-t', table, '-S'])).stdout).not.toContain(after.bridge.name);
    }
  });

  test('runs beside another one, and outlives it', async () => {
    const [one, two] = [await makeHome(), await makeHome()];
    const started = [await start(one), await start(two)] as const;
    const records = [await recordOf(one), await recordOf(two)] as const;
    expect(records[0].bridge.name).not.toBe(records[1].bridge.name);
    expect(records[0].bridge.address).not.toBe(records[1].bridge.address);
    await call(one, 'stopDocker({ purge: true })');
    expect(await ping(started[0].socketPath)).toBeUndefined();
    expect(await ping(started[1].socketPath)).toBe(200);
  });

  test('is never mistaken for a process that has its number now', async () => {
    const home = await makeHome();
    await start(home);
    const record = await recordOf(home);
    await call(home, 'stopDocker({ purge: false })');
    const stranger = spawn('sleep', ['60']);
    try {
      const recycled = {
        ...record,
        dataRoot: join(home, 'docker', 'data'),
        process: { ...record.process, pid: stranger.pid },
      };
      await writeFile(join(home, 'docker', 'daemon.json'), JSON.stringify(recycled));
      expect(await call(home, 'stopDocker({ purge: true })')).toBe(true);
      expect(stranger.exitCode).toBeNull();
      expect(stranger.signalCode).toBeNull();
    } finally {
      stranger.kill('SIGKILL');
      await once(stranger, 'exit');
    }
  });
});

afterAll(async () => {
  expect((await readdir(tmpdir())).filter((name) => name.startsWith(`berth-docker-${process.pid}-`))).toEqual(
    [],
  );
});
