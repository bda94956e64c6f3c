import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { homeAt, makeDirs, processFile } from '../src/local/home.ts';
import { writeInstance } from '../src/local/instance.ts';
import { endProcess, identify, isRunning } from '../src/local/process.ts';
import { tearDown } from '../src/local/teardown.ts';

let dir = '';
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'berth-down-'));
});
afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
});

// Documentation addresses: whatever runs on this machine has no route in them.
const instance = {
  agent: 'zzunit01',
  bridgePrefix: 'btzzu-',
  coordinatorPort: 7799,
  httpPort: 8099,
  internalPort: 17_799,
  virtualCidr: '203.0.113.0/25',
  tenantCidr: '203.0.113.128/25',
  host: null,
  registry: null,
  example: [],
};

test('where there is no instance nothing is done', async () => {
  const said: string[] = [];
  const result = await tearDown(homeAt(join(dir, 'none')), (line) => said.push(line));
  expect(result).toEqual({ removed: [], kept: [], remaining: [] });
  expect(said).toEqual([]);
});

test('a process that only has the pid of a recorded one is left alone', async () => {
  const home = homeAt(dir);
  makeDirs(home);
  const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' });
  const identity = identify(child.pid ?? 0);
  if (identity === undefined) throw new Error('the child is not to be seen');
  try {
    writeFileSync(processFile(home, 'agent'), JSON.stringify({ ...identity, startTicks: '7' }));
    await tearDown(home, () => {});
    expect(isRunning(identity)).toBe(true);
  } finally {
    await endProcess(identity, 5000);
  }
});

test('with Docker down the state is kept, and what remains is named by its label', async () => {
  const home = homeAt(dir);
  makeDirs(home);
  writeInstance(home, { ...instance, dockerSocket: join(dir, 'no.sock') });
  const result = await tearDown(home, () => {});
  expect(result.remaining.join('\n')).toContain('berth.agent=zzunit01');
  expect(existsSync(home.instanceFile)).toBe(true);
});

test('what others keep in the same directory stays', async () => {
  const home = homeAt(dir);
  makeDirs(home);
  mkdirSync(join(dir, 'toolchain'));
  writeFileSync(home.loginFile, JSON.stringify({ url: 'http://elsewhere.example', token: 't' }), {
    mode: 0o600,
  });
  await tearDown(home, () => {});
  expect(existsSync(join(dir, 'toolchain'))).toBe(true);
  expect(existsSync(home.loginFile)).toBe(true);
  expect(existsSync(home.coordinatorDir)).toBe(false);
});
