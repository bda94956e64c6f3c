import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { startChild, type Child } from './support/child.ts';
import { FromClients, FromServer, type Measure } from './support/link-messages.ts';
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

type Clients = Child<z.infer<typeof FromClients>>;
type Role = 'floor' | 'fleet';

interface Round {
  kbPerAgent: number;
  rssMb: number;
  reconnectMs: number;
  reconnectCpuMs: number;
  fanoutMs: number;
  fanoutCpuUs: number;
  fanoutBytes: number;
  reportsPerSecond: number;
  reportCpuUs: number;
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
  directory: string,
  first: boolean,
): Promise<Round> {
  const server = startChild(
    './link-server.ts',
    [role, String(agents), '0', directory, first ? 'fresh' : 'known'],
    FromServer,
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
    const connected = await clients.ask({ kind: 'connect', port: listening.port, desired: first, atOnce: agents });
    if (connected.kind !== 'connected') return unexpected(connected.kind);
    await wait(1000);
    const after = await measured();
    await wait(200);
    const changed = await server.ask({ kind: 'change' });
    if (changed.kind !== 'changed') return unexpected(changed.kind);
    await wait(200);
    const quiet = await measured();
    const reported = await clients.ask({ kind: 'report', rounds: REPORT_ROUNDS });
    if (reported.kind !== 'reported') return unexpected(reported.kind);
    const end = await measured();
    const reports = agents * REPORT_ROUNDS;
    return {
      kbPerAgent: (after.rssBytes - before.rssBytes) / 1024 / agents,
      rssMb: Math.max(after.rssBytes, quiet.rssBytes, end.rssBytes) / 1024 / 1024,
      reconnectMs: connected.ms,
      reconnectCpuMs: after.cpuMs - before.cpuMs,
      fanoutMs: changed.ms,
      fanoutCpuUs: (changed.cpuMs * 1000) / agents,
      fanoutBytes: changed.bytes,
      reportsPerSecond: (reports * 1000) / reported.ms,
      reportCpuUs: ((end.cpuMs - quiet.cpuMs) * 1000) / reports,
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
  const clients: Clients = startChild('./link-clients.ts', [], FromClients);
  try {
    const made = await clients.ask({ kind: 'make', agents });
    if (made.kind !== 'made') return unexpected(made.kind);
    await writeFile(join(directory, 'keys.json'), JSON.stringify(made.publicKeys));
    const seed = startChild(
      './link-server.ts',
      ['seed', String(agents), '0', directory, 'fresh'],
      FromServer,
    );
    await seed.ask();
    await seed.kill();
    say(`${agents} agents: first connect`);
    await round('fleet', agents, clients, directory, true);
    const ours: Round[] = [];
    const floors: Round[] = [];
    for (let count = 1; count <= rounds; count += 1) {
      floors.push(await round('floor', agents, clients, directory, false));
      ours.push(await round('fleet', agents, clients, directory, false));
      say(`${agents} agents: round ${count} of ${rounds}`);
    }
    const of = (list: Round[], key: keyof Round): number => median(list.map((each) => each[key]));
    const pair = (key: keyof Round) => ({ value: rounded(of(ours, key)), floor: rounded(of(floors, key)) });
    const ratio = (key: keyof Round): number => rounded(of(ours, key) / of(floors, key));
    return {
      agents,
      kbPerAgent: pair('kbPerAgent').value,
      floorKbPerAgent: pair('kbPerAgent').floor,
      rssMb: pair('rssMb').value,
      rssBudgetMb: rounded(BASE_MB + (KB_PER_AGENT * agents) / 1024),
      reconnectMs: pair('reconnectMs').value,
      floorReconnectMs: pair('reconnectMs').floor,
      reconnectRatio: ratio('reconnectMs'),
      reconnectCpuRatio: ratio('reconnectCpuMs'),
      fanoutMs: pair('fanoutMs').value,
      floorFanoutMs: pair('fanoutMs').floor,
      fanoutRatio: ratio('fanoutMs'),
      fanoutCpuUsPerAgent: pair('fanoutCpuUs').value,
      floorFanoutCpuUsPerAgent: pair('fanoutCpuUs').floor,
      fanoutCpuRatio: ratio('fanoutCpuUs'),
      fanoutBytes: pair('fanoutBytes').value,
      reportsPerSecond: Math.round(of(ours, 'reportsPerSecond')),
      reportCpuUs: pair('reportCpuUs').value,
      floorReportCpuUs: pair('reportCpuUs').floor,
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
