import { createInterface } from 'node:readline';
import { DesiredState } from '@berth/shared/domain/desired';
import { createExecutor } from '@berth/agent/execute/executor';
import { failpointFrom } from '@berth/agent/failpoint';
import { createGate } from '@berth/agent/loop/gate';
import { createLoop } from '@berth/agent/loop/loop';
import { createObserver } from '@berth/agent/observe/observer';
import { openState } from '@berth/agent/state/open';
import { realSleep } from '@berth/agent/system/clock';
import { HostConfig } from '@berth/agent/system/config';
import { createSystem } from '@berth/agent/system/system';

/**
 * An agent without a coordinator, as a process of its own that can be killed: desired states come as lines on standard
 * input, reports and events go as lines to standard output. Its configuration is the only argument.
 */
const config = HostConfig.parse(JSON.parse(process.argv[2] ?? ''));
const clock = { now: () => Date.now() };
const stopping = new AbortController();
const say = (word: object): void => void process.stdout.write(`${JSON.stringify(word)}\n`);

const state = await openState(config.stateDir, { clock });
const system = createSystem(config);
const executor = createExecutor({ system, clock, sleep: realSleep });
const observer = createObserver({
  system,
  clock,
  sleep: realSleep,
  restoreBase: (signal) => executor.ensureNetworkBase(signal),
});
await executor.ensureNetworkBase(stopping.signal);
const loop = createLoop({
  settings: config,
  observer,
  execute: executor.execute,
  statuses: state.statuses,
  reports: {
    tenant: (report) => say({ report }),
    removal: () => undefined,
    event: (event) => say({ event }),
    host: () => undefined,
  },
  gate: createGate(4),
  clock,
  failpoint: failpointFrom(process.env),
  log: { info: () => undefined, warn: () => undefined, error: () => undefined },
  desired: state.desired.current(),
  mode: 'apply',
  sweepMs: 5_000,
});

async function obey(line: string): Promise<void> {
  const wanted = DesiredState.parse(JSON.parse(line));
  await state.desired.commit(wanted);
  loop.desire(wanted, Object.keys(wanted.tenants));
}

createInterface({ input: process.stdin }).on('line', (line) => void obey(line));
process.stdin.on('end', () => stopping.abort(new Error('over')));
say({ ready: true });
await loop.run(stopping.signal);
system.close();
