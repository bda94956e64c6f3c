import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { createClient, type ApiClient } from '@berth/shared/api/client';
import type { RolloutPolicy } from '@berth/shared/domain/rollout';
import { z } from 'zod';
import { daemonFlags } from '../packages/cli/src/local/dist.ts';
import { rounded, runBench, type Bench } from './support/bench.ts';
import { bundled, startChild, type Child } from './support/child.ts';
import { endChild, startDaemon } from './support/instance.ts';
import { cpuMsOf, loopDelayP99Ms, peakMbOf } from './support/process-figures.ts';
import {
  APP,
  FromAgents,
  FromFloor,
  WARM_APP,
  WARM_TENANTS,
  type FleetShape,
} from './support/rollout-messages.ts';
import { seed } from './support/rollout-seed.ts';

/**
 * One rollout over thousands of simulated tenants, ten a host, on agents that speak the real protocol over real sockets,
 * against the coordinator as built, with its database on disk and the rollout started and watched by the HTTP API. Each
 * coordinator has moved another app's 2,000 tenants before, so that what is measured is not V8 getting to know the code.
 * Usage: npm run bench -- rollout [--json] [--quick]
 */
const TENANTS = 5_000;
const SIZES = [500, 2_000, 5_000, 20_000];
const QUICK_SIZES = [500];
const TENANTS_PER_AGENT = 10;
const AT_ONCE = 500;
/** From the last thing that was to happen until all that is put off is written. */
const SETTLING_MS = 2_000;
const LONGEST_MS = 120_000;

const Ready = z.object({ url: z.string() });

interface Programs {
  agents: string;
  floor: string;
}

type Agents = Child<z.infer<typeof FromAgents>>;

interface Cost {
  cpuMsPerTenant: number;
  wallMs: number;
  eventLoopP99Ms: number;
}
interface Measured extends Cost, FleetShape {
  /** The same for the first 2,000 tenants of a coordinator that has just been started. */
  coldCpuMsPerTenant: number;
  peakMb: number;
}

await runBench(async (bench) => {
  const directory = await mkdtemp(join(tmpdir(), 'berth-bench-rollout-'));
  bench.defer('programs', () => rm(directory, { recursive: true, force: true }));
  const [agents = '', floor = ''] = await bundled(['rollout-agents', 'rollout-floor'], directory);
  const programs = { agents, floor };
  const measured: Measured[] = [];
  const floors = new Map<number, Cost>();
  for (const tenants of sizes(bench.quick)) {
    const shape = { tenants, agents: tenants / TENANTS_PER_AGENT };
    measured.push(await rollOut(bench, programs, shape));
    bench.say(JSON.stringify(measured.at(-1)));
    // Larger ones cost the floor what this size does, and take minutes.
    if (tenants > TENANTS) continue;
    floors.set(tenants, await moveBare(bench, programs, shape));
    bench.say(`floor: ${JSON.stringify(floors.get(tenants))}`);
  }
  const main = measured.find((each) => each.tenants === TENANTS) ?? measured[0];
  if (main === undefined) throw new Error('nothing was measured');
  const least = floors.get(main.tenants) ?? (await moveBare(bench, programs, main));
  const flat = measured.map(({ tenants, cpuMsPerTenant }) => ({
    tenants,
    cpuMsPerTenant,
    floorCpuMsPerTenant: floors.get(tenants)?.cpuMsPerTenant ?? null,
  }));
  const costs = flat.map((each) => each.cpuMsPerTenant);
  const result = {
    tenants: main.tenants,
    agents: main.agents,
    cpuMsPerTenant: main.cpuMsPerTenant,
    coldCpuMsPerTenant: main.coldCpuMsPerTenant,
    eventLoopP99Ms: main.eventLoopP99Ms,
    peakMb: main.peakMb,
    wallMs: main.wallMs,
    floorCpuMsPerTenant: least.cpuMsPerTenant,
    floorEventLoopP99Ms: least.eventLoopP99Ms,
    floorWallMs: least.wallMs,
    /** Most over least: 1.35 is about 15 % to either side of the middle. */
    flatRatio: rounded(Math.max(...costs) / Math.min(...costs)),
    flat,
    runs: measured,
  };
  return {
    result,
    rows: [
      {
        what: `${result.tenants} tenants on ${result.agents} agents: coordinator CPU for each, ms`,
        value: result.cpuMsPerTenant,
        floor: result.floorCpuMsPerTenant,
        budget: '<= 1',
      },
      {
        what: '  event loop delay, p99, ms',
        value: result.eventLoopP99Ms,
        floor: result.floorEventLoopP99Ms,
        budget: '<= 50',
      },
      { what: '  largest memory, MB', value: result.peakMb },
      { what: '  from start to completed, ms', value: result.wallMs, floor: result.floorWallMs },
      {
        what: `the first ${WARM_TENANTS} tenants after a start: CPU for each, ms`,
        value: result.coldCpuMsPerTenant,
      },
      ...flat.map((each) => ({
        what: `${each.tenants} tenants: CPU for each, ms`,
        value: each.cpuMsPerTenant,
        ...(each.floorCpuMsPerTenant === null ? {} : { floor: each.floorCpuMsPerTenant }),
        budget: 'flat, +-15 %',
      })),
    ],
  };
});

/** BERTH_BENCH_SIZES names others, such as `5000`, for finding out why. */
function sizes(quick: boolean): readonly number[] {
  const asked = process.env['BERTH_BENCH_SIZES'];
  if (asked !== undefined && asked !== '') return asked.split(',').map(Number);
  return quick ? QUICK_SIZES : SIZES;
}

async function startAgents(bench: Bench, programs: Programs, agents: number) {
  const child: Agents = startChild(programs.agents, [], FromAgents);
  bench.defer('agents', () => child.kill());
  const made = await answer(child, 'made', { kind: 'make', agents });
  return { child, publicKeys: made.publicKeys };
}

/** One coordinator's life: all agents come, the small app becomes release 2, then the large one does. */
async function rollOut(bench: Bench, programs: Programs, shape: FleetShape): Promise<Measured> {
  const home = await mkdtemp(join(tmpdir(), 'berth-bench-'));
  bench.defer('state', () => rm(home, { recursive: true, force: true }));
  bench.defer('log', () => sayLog(bench, join(home, 'coordinator.log')));
  const { child: agents, publicKeys } = await startAgents(bench, programs, shape.agents);
  const config = {
    listen: { host: '127.0.0.1', port: 0 },
    store: { kind: 'sqlite', path: join(home, 'berth.db') },
    adminTokenFile: join(home, 'admin-token'),
    // Its own figures are read from there.
    http: { metrics: 'open' },
  };
  await seed(config.store.path, shape, publicKeys);
  await writeFile(join(home, 'coordinator.json'), JSON.stringify(config), { mode: 0o600 });
  const { pid, ready, child } = await startDaemon(bench, home, 'coordinator');
  const url = urlOf(ready);
  const api = createClient({ url, token: (await readFile(config.adminTokenFile, 'utf8')).trim() });
  await answer(agents, 'connected', { kind: 'connect', port: Number(new URL(url).port) });
  // Who came is noted a little later, and a rollout passes by whom it takes for offline.
  await untilAllOnline(bench, api, shape.agents);
  await wait(SETTLING_MS);
  const before = cpuMsOf(pid);
  await roll(bench, { api, agents, app: WARM_APP, tenants: WARM_TENANTS }, policyInWaves());
  const cold = cpuMsOf(pid) - before;

  await loopDelayP99Ms(url);
  const cpu = cpuMsOf(pid);
  const wallMs = await roll(bench, { api, agents, app: APP, tenants: shape.tenants }, policyInWaves());
  const spent = cpuMsOf(pid) - cpu;
  const eventLoopP99Ms = await loopDelayP99Ms(url);
  const peakMb = peakMbOf(pid);
  await endChild(child);
  await agents.kill();
  await rm(home, { recursive: true, force: true });
  return {
    ...shape,
    cpuMsPerTenant: rounded(spent / shape.tenants, 3),
    coldCpuMsPerTenant: rounded(cold / WARM_TENANTS, 3),
    eventLoopP99Ms: rounded(eventLoopP99Ms, 1),
    peakMb: rounded(peakMb, 1),
    wallMs: rounded(wallMs, 0),
  };
}

/** The same agents and the same changes, by a server that does nothing else. */
async function moveBare(bench: Bench, programs: Programs, shape: FleetShape): Promise<Cost> {
  const home = await mkdtemp(join(tmpdir(), 'berth-bench-'));
  bench.defer('state', () => rm(home, { recursive: true, force: true }));
  const { child: agents } = await startAgents(bench, programs, shape.agents);
  const args = [String(shape.tenants), String(shape.agents), home];
  const floor = startChild(programs.floor, args, FromFloor, daemonFlags('coordinator'));
  bench.defer('floor', () => floor.kill());
  const listening = await floor.ask();
  if (listening.kind !== 'listening') throw new Error(`the floor said ${listening.kind}`);
  await answer(agents, 'connected', { kind: 'connect', port: listening.port });
  const move = async (from: number, tenants: number): Promise<Cost> => {
    await wait(SETTLING_MS);
    const cpu = cpuMsOf(floor.pid);
    const began = performance.now();
    const moved = await floor.ask({ kind: 'move', from, tenants, atOnce: AT_ONCE });
    if (moved.kind !== 'moved') throw new Error(`the floor said ${moved.kind}`);
    const eventLoopP99Ms = rounded(moved.eventLoopP99Ms, 1);
    const wallMs = rounded(performance.now() - began, 0);
    await wait(SETTLING_MS);
    return { cpuMsPerTenant: rounded((cpuMsOf(floor.pid) - cpu) / tenants, 3), wallMs, eventLoopP99Ms };
  };
  await move(shape.tenants, WARM_TENANTS);
  const cost = await move(0, shape.tenants);
  await floor.kill();
  await agents.kill();
  return cost;
}

/** As people write it; the bake is left out because nothing is measured in it. */
function policyInWaves(): RolloutPolicy {
  return {
    waves: [5, 25, 100].map((percent) => ({ target: { kind: 'share', percent }, approval: 'none' })),
    bakeMs: 0,
    maxFailures: 0,
    onFailure: 'pause',
    perHost: 10,
    atOnce: AT_ONCE,
    order: [],
    traffic: { errorRate: 0.02, latencyFactor: 1.5, latencyMs: 50, minRequests: 50 },
    moveTimeoutMs: 600_000,
  };
}

interface Roll {
  api: ApiClient;
  agents: Agents;
  app: string;
  tenants: number;
}

/** From the call until the rollout is completed, every tenant has settled, and what was put off is written. */
async function roll(
  bench: Bench,
  { api, agents, app, tenants }: Roll,
  policy: RolloutPolicy,
): Promise<number> {
  await answer(agents, 'waiting', { kind: 'await', tenants });
  const { rollout } = await api.startRollout({ body: { app, to: 2, policy, whenBusy: 'refuse' } });
  const settled = agents.ask();
  const until = Date.now() + LONGEST_MS;
  let all = false;
  settled.then(
    () => (all = true),
    // Ended with the bench; whoever waits for it is told below.
    () => undefined,
  );
  for (;;) {
    bench.signal.throwIfAborted();
    const { state, held, counts, createdAt, endedAt } = await api.showRollout({ params: { rollout } });
    if (all && state.kind === 'completed' && endedAt !== null) {
      await wait(SETTLING_MS);
      return endedAt - createdAt;
    }
    if (state.kind === 'paused' || Date.now() > until)
      throw new Error(`rollout ${rollout} is ${JSON.stringify({ state, held, counts })}`);
    // Looking costs the coordinator something too: seldom, until it can be over.
    await Promise.race([settled, wait(2_000)]);
    if (all) await wait(200);
  }
}

/** What the coordinator had to say when something went wrong. */
async function sayLog(bench: Bench, path: string): Promise<void> {
  const lines = (await readFile(path, 'utf8').catch(() => '')).trim().split('\n');
  for (const line of lines.filter((each) => each.includes('"err"')).slice(-3)) bench.say(line.slice(0, 2000));
}

async function untilAllOnline(bench: Bench, api: ApiClient, agents: number): Promise<void> {
  for (let tries = 0; tries < 300; tries += 1) {
    bench.signal.throwIfAborted();
    if ((await api.status({})).hosts.online === agents) return;
    await wait(200);
  }
  throw new Error('not all agents came online');
}

type Answers = z.infer<typeof FromAgents>;

async function answer<K extends Answers['kind']>(
  child: Agents,
  kind: K,
  question: object,
): Promise<Extract<Answers, { kind: K }>> {
  const given = await child.ask(question);
  if (isOf(given, kind)) return given;
  throw new Error(`the agents said ${given.kind} instead of ${kind}`);
}

function isOf<K extends Answers['kind']>(given: Answers, kind: K): given is Extract<Answers, { kind: K }> {
  return given.kind === kind;
}

function urlOf(ready: unknown): string {
  return Ready.parse(ready).url;
}
