import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { startChild } from '../src/local/children.ts';
import { run } from '../src/local/command.ts';
import { freePort, portIsFree } from '../src/local/ports.ts';
import { endProcess, identify, isRunning, recordedProcess, recordProcess } from '../src/local/process.ts';
import { supervise } from '../src/local/supervise.ts';

let dir = '';
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'berth-process-'));
});
afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
});

function childOptions(source: string, readyMs = 10_000) {
  const script = join(dir, 'daemon.mjs');
  writeFileSync(script, source);
  return {
    name: 'daemon',
    script,
    args: ['--config', 'x'],
    logFile: join(dir, 'daemon.log'),
    processFile: join(dir, 'daemon.json'),
    env: { ...process.env },
    readyMs,
    signal: new AbortController().signal,
  };
}

const READY = `console.log('{"event":"ready","url":"http://x"}'); setInterval(() => {}, 1000);`;

test('a process is told apart from another one with its pid', async () => {
  const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' });
  const identity = identify(child.pid ?? 0);
  if (identity === undefined) throw new Error('the child is not to be seen');
  const recycled = { ...identity, startTicks: '1' };
  expect(isRunning(identity)).toBe(true);
  expect(isRunning(recycled)).toBe(false);
  expect(await endProcess(recycled, 100)).toBe('gone');
  expect(isRunning(identity)).toBe(true);
  expect(await endProcess(identity, 5000)).toBe('stopped');
  expect(identify(child.pid ?? 0)).toBeUndefined();
});

test('one that ignores SIGTERM is killed after its grace', async () => {
  const options = childOptions(`process.on('SIGTERM', () => {}); ${READY}`);
  const child = await startChild(options);
  expect(await endProcess(child.identity, 300)).toBe('killed');
  expect(await child.ended).toBe('SIGKILL');
});

test('a daemon is ready when it says so, is recorded, and is forgotten once stopped', async () => {
  const options = childOptions(`console.error('log line'); ${READY}`);
  const child = await startChild(options);
  expect(child.ready).toEqual({ event: 'ready', url: 'http://x' });
  expect(recordedProcess(options.processFile)?.pid).toBe(child.identity.pid);
  await child.stop();
  expect(recordedProcess(options.processFile)).toBeUndefined();
  expect(readFileSync(options.logFile, 'utf8')).toContain('log line');
});

test('a daemon that ends before it is ready shows its last words', async () => {
  const options = childOptions(`console.error('the port is taken'); process.exitCode = 3;`);
  await expect(startChild(options)).rejects.toMatchObject({
    code: 'unavailable',
    message: expect.stringContaining('exit code 3'),
    details: { logTail: ['the port is taken'] },
  });
});

test('one that is never ready is stopped', async () => {
  const options = childOptions(`setInterval(() => {}, 1000);`, 300);
  await expect(startChild(options)).rejects.toThrow(/not ready after 0.3 s/);
  expect(recordedProcess(options.processFile)).toBeUndefined();
});

test('a daemon that dies is started again, and not after a stop', async () => {
  const options = childOptions(READY);
  const said: string[] = [];
  const first = await startChild(options);
  const supervisor = supervise(
    'daemon',
    first,
    () => startChild(options),
    (line) => said.push(line),
    { now: () => performance.now() },
  );
  process.kill(first.identity.pid, 'SIGKILL');
  await expect.poll(() => said.at(-1), { timeout: 10_000 }).toBe('the daemon is back');
  expect(said[0]).toMatch(/died \(SIGKILL\).*0\.5 s/);
  const second = supervisor.child;
  expect(second.identity.pid).not.toBe(first.identity.pid);
  await supervisor.stop();
  expect(isRunning(second.identity)).toBe(false);
  expect(said).toHaveLength(2);
});

test('a record of a process that has ended names nobody', async () => {
  const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' });
  const file = join(dir, 'x.json');
  recordProcess(file, child.pid ?? 0);
  const recorded = recordedProcess(file);
  expect(recorded?.pid).toBe(child.pid);
  if (recorded !== undefined) await endProcess(recorded, 5000);
  expect(recordedProcess(file)).toBeUndefined();
  writeFileSync(file, 'garbage');
  expect(recordedProcess(file)).toBeUndefined();
});

test('a program that is not installed is an answer, not an exception', async () => {
  expect((await run('berth-no-such-program', [])).code).toBeNull();
  expect(await run(process.execPath, ['-e', 'console.log(1); process.exitCode = 4'])).toMatchObject({
    code: 4,
    stdout: '1\n',
  });
});

test('a taken port is passed over', async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  try {
    expect(await portIsFree(port)).toBe(false);
    const next = await freePort(port, new Set([port + 1]));
    expect(next).toBeGreaterThan(port + 1);
  } finally {
    server.close();
  }
});
