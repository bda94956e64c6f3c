import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { daemonFlags } from '../packages/cli/src/local/dist.ts';
import { bundled, startChild, type Child } from './support/child.ts';
import { FromClients, FromServer, MANY, type Measure } from './support/link-messages.ts';
import type { z } from 'zod';

/**
 * The link with thousands of agents: memory per agent, the time until all are back after a restart of the coordinator,
 * and one change to all. The floor, measured in turns in the same run with the same clients, is a bare `ws` server that
 * exchanges the same frames. Usage: node bench/link.bench.ts [--json] [--agents 5000,10000] [--rounds 3]
 */
const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    agents: { type: 'string', default: '5000,10000' },
    rounds: { type: 'string', default: '3' },
  },
});

const BASE_MB = 60;
const KB_PER_AGENT = 12;
const REPORT_ROUNDS = 5;
/** How many connect at a time when memory per agent is measured; a storm leaves the allocator's scratch space behind. */
const ARRIVING = 64;

type Clients = Child<z.infer<typeof FromClients>>;
type Role = 'floor' | 'fleet';

interface Programs {
  server: string;
  clients: string;
  /** Where the coordinator's database is. */
  directory: string;
}

interface Round {
  kbPerAgent: number;
  /** Before the first agent. */
  baseMb: number;
  /** With all agents, once they are connected. */
  rssMb: number;
  privateMb: number;
  reconnectMs: number;
  reconnectCpuMs: number;
  fanoutMs: number;
  fanoutCpuUs: number;
  fanoutBytes: number;
  /** One report a message: each agent tells of one tenant. */
  reportsPerSecond: number;
  reportCpuUs: number;
  /** Twenty reports a message: what an agent gathers while twenty of its tenants move. */
  gatheredPerSecond: number;
  gatheredCpuUs: number;
}

const say = (line: string): void => {
  if (!values.json) console.log(line);
  else console.error(line);
};

function unexpected(what: string): never {
  throw new Error(`the bench's processes do not understand each other: ${what}`);
}

/** One server's life: all agents connect at once, then one change goes to all of them, then they report. */
async function round(
  role: Role,
  agents: number,
  clients: Clients,
  programs: Programs,
  first: boolean,
): Promise<Round> {
  const server = startChild(
    programs.server,
    [role, String(agents), '0', programs.directory, first ? 'fresh' : 'known'],
    FromServer,
    daemonFlags('coordinator'),
  );
  try {
    const listening = await server.ask();
    if (listening.kind !== 'listening') return unexpected(listening.kind);
    const measured = async (): Promise<Measure> => {
      const answer = await server.ask({ kind: 'measure' });
      return answer.kind === 'measured' ? answer.measure : unexpected(answer.kind);
    };
    await wait(300);
    const before = await measured();
    const connected = await clients.ask({
      kind: 'connect',
      port: listening.port,
      desired: first,
      atOnce: first ? ARRIVING : agents,
    });
    if (connected.kind !== 'connected') return unexpected(connected.kind);
    await wait(1000);
    const after = await measured();
    await wait(200);
    const changed = await server.ask({ kind: 'change' });
    if (changed.kind !== 'changed') return unexpected(changed.kind);
    await wait(200);
    const quiet = await measured();
    const reported = await clients.ask({ kind: 'report', rounds: REPORT_ROUNDS, perMessage: 1 });
    if (reported.kind !== 'reported') return unexpected(reported.kind);
    const between = await measured();
    const gathered = await clients.ask({ kind: 'report', rounds: REPORT_ROUNDS, perMessage: MANY });
    if (gathered.kind !== 'reported') return unexpected(gathered.kind);
    const end = await measured();
    const reports = agents * REPORT_ROUNDS;
    const many = Math.floor(agents / MANY) * MANY * REPORT_ROUNDS;
    return {
      kbPerAgent: (after.rssBytes - before.rssBytes) / 1024 / agents,
      baseMb: before.rssBytes / 1024 / 1024,
      rssMb: after.rssBytes / 1024 / 1024,
      privateMb: after.privateBytes / 1024 / 1024,
      reconnectMs: connected.ms,
      reconnectCpuMs: after.cpuMs - before.cpuMs,
      fanoutMs: changed.ms,
      fanoutCpuUs: (changed.cpuMs * 1000) / agents,
      fanoutBytes: changed.bytes,
      reportsPerSecond: (reports * 1000) / reported.ms,
      reportCpuUs: ((between.cpuMs - quiet.cpuMs) * 1000) / reports,
      gatheredPerSecond: (many * 1000) / gathered.ms,
      gatheredCpuUs: ((end.cpuMs - between.cpuMs) * 1000) / many,
    };
  } finally {
    // As a crash: nobody is told, and the next server finds all agents at its door.
    await server.kill();
    await clients.ask({ kind: 'drop' });
  }
}

const median = (numbers: number[]): number =>
  numbers.sort((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? 0;
const rounded = (value: number): number => Math.round(value * 100) / 100;

async function measure(agents: number, rounds: number) {
  const directory = await mkdtemp(join(tmpdir(), 'berth-bench-link-'));
  const [server = '', program = ''] = await bundled(
    ['link-server', 'link-clients'],
    join(directory, 'programs'),
  );
  const programs: Programs = { server, clients: program, directory };
  const clients: Clients = startChild(programs.clients, [], FromClients);
  try {
    const made = await clients.ask({ kind: 'make', agents });
    if (made.kind !== 'made') return unexpected(made.kind);
    await writeFile(join(directory, 'keys.json'), JSON.stringify(made.publicKeys));
    const seed = startChild(programs.server, ['seed', String(agents), '0', directory, 'fresh'], FromServer);
    await seed.ask();
    await seed.kill();
    say(`${agents} agents: first connect`);
    const arrived = await round('fleet', agents, clients, programs, true);
    const floorArrived = await round('floor', agents, clients, programs, true);
    const ours: Round[] = [];
    const floors: Round[] = [];
    for (let count = 1; count <= rounds; count += 1) {
      floors.push(await round('floor', agents, clients, programs, false));
      ours.push(await round('fleet', agents, clients, programs, false));
      say(`${agents} agents: round ${count} of ${rounds}`);
    }
    const of = (list: Round[], key: keyof Round): number => median(list.map((each) => each[key]));
    const pair = (key: keyof Round) => ({ value: rounded(of(ours, key)), floor: rounded(of(floors, key)) });
    const ratio = (key: keyof Round): number => rounded(of(ours, key) / of(floors, key));
    return {
      agents,
      kbPerAgent: rounded(arrived.kbPerAgent),
      floorKbPerAgent: rounded(floorArrived.kbPerAgent),
      baseMb: rounded(arrived.baseMb),
      floorBaseMb: rounded(floorArrived.baseMb),
      rssMb: rounded(arrived.rssMb),
      privateMb: rounded(arrived.privateMb),
      stormKbPerAgent: pair('kbPerAgent').value,
      floorStormKbPerAgent: pair('kbPerAgent').floor,
      stormRssMb: pair('rssMb').value,
      floorStormRssMb: pair('rssMb').floor,
      stormPrivateMb: pair('privateMb').value,
      floorStormPrivateMb: pair('privateMb').floor,
      rssBudgetMb: rounded(BASE_MB + (KB_PER_AGENT * agents) / 1024),
      reconnectMs: pair('reconnectMs').value,
      floorReconnectMs: pair('reconnectMs').floor,
      reconnectRatio: ratio('reconnectMs'),
      reconnectCpuUsPerAgent: rounded((of(ours, 'reconnectCpuMs') * 1000) / agents),
      floorReconnectCpuUsPerAgent: rounded((of(floors, 'reconnectCpuMs') * 1000) / agents),
      fanoutMs: pair('fanoutMs').value,
      floorFanoutMs: pair('fanoutMs').floor,
      fanoutRatio: ratio('fanoutMs'),
      fanoutCpuUsPerAgent: pair('fanoutCpuUs').value,
      floorFanoutCpuUsPerAgent: pair('fanoutCpuUs').floor,
      fanoutBytes: pair('fanoutBytes').value,
      reportsPerSecond: Math.round(of(ours, 'reportsPerSecond')),
      reportCpuUs: pair('reportCpuUs').value,
      floorReportCpuUs: pair('reportCpuUs').floor,
      reportsPerSecondPerCore: Math.round(1_000_000 / of(ours, 'reportCpuUs')),
      gatheredPerSecond: Math.round(of(ours, 'gatheredPerSecond')),
      gatheredCpuUs: pair('gatheredCpuUs').value,
      floorGatheredCpuUs: pair('gatheredCpuUs').floor,
      gatheredPerSecondPerCore: Math.round(1_000_000 / of(ours, 'gatheredCpuUs')),
    };
  } finally {
    await clients.kill();
    await rm(directory, { recursive: true, force: true });
  }
}

const sizes = values.agents.split(',').map(Number);
const results: Awaited<ReturnType<typeof measure>>[] = [];
for (const size of sizes) results.push(await measure(size, Number(values.rounds)));
const largest = results.at(-1);
if (!values.json) console.table(results);
console.log(JSON.stringify({ ...largest, runs: results }));
