import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { realSleep } from '@berth/agent/system/clock';
import { runChecked } from '@berth/agent/system/command';
import { createSystem } from '@berth/agent/system/system';
import { createExecutor } from '@berth/agent/execute/executor';
import { createObserver } from '@berth/agent/observe/observer';

/**
 * A program for a network namespace of its own: puts the agent's rules in place, has all rules flushed, and prints as JSON
 * what was heard and how many milliseconds it took until they were back.
 */
const stateDir = mkdtempSync(join(tmpdir(), 'berth-flush-'));
const system = createSystem({
  agent: 'xtflush',
  stateDir,
  dockerSocket: join(stateDir, 'none.sock'),
  virtualCidr: '198.18.79.0/24',
  tenantCidr: '198.19.79.0/24',
  tenantPrefix: 26,
  bridgePrefix: 'xtf-',
  nginx: { binary: 'nginx', listenAddress: '127.0.0.1', httpPort: 80, internalPort: 81, start: 'agent' },
  reserve: { memoryBytes: 0, diskBytes: 0 },
});
const parts = { system, clock: { now: () => Date.now() }, sleep: realSleep };
const executor = createExecutor(parts);
const observer = createObserver({
  ...parts,
  restoreBase: (signal) => executor.ensureNetworkBase(signal),
});
const stop = new AbortController();
try {
  await runChecked('ip', ['link', 'set', 'lo', 'up']);
  await executor.ensureNetworkBase();
  const before = JSON.stringify(await system.nft.readTable(), null, 1);
  const heard: string[] = [];
  observer.watch((why) => heard.push(why), stop.signal);
  await realSleep(700, stop.signal);
  const began = performance.now();
  await runChecked('nft', ['flush', 'ruleset']);
  while (
    JSON.stringify(await system.nft.readTable(), null, 1) !== before &&
    performance.now() - began < 10_000
  )
    await realSleep(20, stop.signal);
  const ms = performance.now() - began;
  await realSleep(300, stop.signal);
  process.stdout.write(`${JSON.stringify({ ms, heard: heard.filter((why) => why.startsWith('nft')) })}\n`);
} finally {
  stop.abort();
  system.close();
  rmSync(stateDir, { recursive: true, force: true });
}
process.exit(0);
