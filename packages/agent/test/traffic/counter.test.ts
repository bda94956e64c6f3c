import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { realSleep } from '../../src/system/clock.ts';
import { createSystem } from '../../src/system/system.ts';
import { readCheckpoint, writeCheckpoint } from '../../src/traffic/checkpoint.ts';
import { createTrafficCounter } from '../../src/traffic/counter.ts';
import { newTally, addressKey } from '../../src/traffic/lines.ts';
import { endOfLog, readLog } from '../../src/traffic/reader.ts';

const dir = mkdtempSync(join(tmpdir(), 'berth-traffic-'));
afterAll(() => {
  rmSync(dir, { recursive: true, force: true });
});

test('where the folder cannot be mounted, it says so once and the agent goes on without', async () => {
  writeFileSync(join(dir, 'nginx'), 'a file where a folder should be');
  const system = createSystem({
    agent: 'a1',
    stateDir: dir,
    dockerSocket: '/nowhere/docker.sock',
    virtualCidr: '198.18.96.0/20',
    tenantCidr: '198.19.96.0/20',
    tenantPrefix: 26,
    bridgePrefix: 'bt-',
    nginx: { binary: 'nginx', listenAddress: '127.0.0.1', httpPort: 80, internalPort: 81, start: 'agent' },
    reserve: { memoryBytes: 0, diskBytes: 0 },
  });
  const warnings: string[] = [];
  const counter = createTrafficCounter({
    system,
    statuses: () => new Map(),
    tell: () => expect.fail('there is nothing to tell'),
    clock: { now: () => 1 },
    sleep: realSleep,
    log: { warn: (_fields, message) => warnings.push(message) },
  });
  const { signal } = new AbortController();
  await counter.prepare(signal);
  await counter.run(signal);
  counter.repeat();
  expect(warnings).toEqual([expect.stringContaining('Requests are not counted')]);
});

test('a log is read on from where it was left, and one that was replaced or cut from its beginning', async () => {
  const log = join(dir, 'requests.log');
  const line = '198.18.96.1 200 0.001\n';
  const position = endOfLog(log);
  expect(position).toEqual({ inode: null, offset: 0 });
  const tally = newTally();
  const counted = (): number => tally.byAddress.get(addressKey('198.18.96.1'))?.requests ?? 0;
  await readLog(log, position, tally);
  writeFileSync(log, `${line.repeat(10_000)}198.18`);
  await readLog(log, position, tally);
  expect(counted()).toBe(10_000);
  expect(position.offset).toBe(10_000 * line.length);
  writeFileSync(log, `.96.1 200 -\n${line}198.18.96.1 `, { flag: 'a' });
  await readLog(log, position, tally);
  await readLog(log, position, tally);
  expect(counted()).toBe(10_002);
  writeFileSync(log, line);
  await readLog(log, position, tally);
  expect(counted()).toBe(10_003);
  expect(tally.torn).toBe(0);
});

test('memory that was given back is passed over, and what follows is read', async () => {
  const log = join(dir, 'holes.log');
  writeFileSync(log, Buffer.concat([Buffer.alloc(300_000), Buffer.from('\n198.18.96.1 200 0.001\n')]));
  const tally = newTally();
  const position = { inode: null, offset: 0 };
  await readLog(log, position, tally);
  expect(tally.byAddress.get(addressKey('198.18.96.1'))?.requests).toBe(1);
  expect(position.offset).toBe(300_023);
});

test('a checkpoint is read as it was written; a torn one, and none, are none', () => {
  const path = join(dir, 'checkpoint.json');
  expect(readCheckpoint(path)).toBeNull();
  const checkpoint = {
    run: 7,
    inode: 12,
    offset: 34,
    readAt: 56,
    samples: [],
    switches: [{ tenant: 'acme', generation: null, since: 5, watched: true }],
  };
  writeCheckpoint(path, checkpoint);
  expect(readCheckpoint(path)).toEqual(checkpoint);
  writeFileSync(path, JSON.stringify(checkpoint).slice(0, 30));
  expect(readCheckpoint(path)).toBeNull();
});
