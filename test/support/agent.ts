import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import type { Slice } from './slices.ts';
import { program } from './programs.ts';
import { start, type Ended, type Running } from './processes.ts';

export interface AgentOptions {
  slice: Slice;
  /** Everything of the agent's lies below it. */
  dir: string;
  coordinatorUrl: string;
  dockerSocket: string;
  /** A fresh single-use token, asked for before the first start. */
  joinToken: () => Promise<string>;
  /** Put before the program, such as `nsenter --net=…`. */
  inside?: readonly string[];
  listenAddress?: string;
  stateDir?: string;
  reserve?: { memoryBytes: number; diskBytes: number };
}

/** One agent: its files, and the process that runs on them now. */
export interface AgentProcess {
  readonly name: string;
  readonly slice: Slice;
  readonly stateDir: string;
  readonly logFile: string;
  readonly listenAddress: string;
  /** Id of the host at the coordinator. */
  host(): string;
  pid(): number;
  /** Resolves when it works and is bound to its coordinator. `failpoint`: where it is to die. */
  start(options?: { failpoint?: string }): Promise<void>;
  /** Resolves with how the process of now ends by itself. */
  ended(): Promise<Ended>;
  kill(signal?: NodeJS.Signals): Promise<void>;
  /** Changes its configuration for the next start. */
  configure(change: Record<string, unknown>): void;
}

const Ready = z.object({ host: z.string() });

export function agentIn(options: AgentOptions): AgentProcess {
  const { slice, dir } = options;
  const stateDir = options.stateDir ?? join(dir, 'state');
  const logFile = join(dir, 'agent.log');
  const configFile = join(dir, 'agent.json');
  const joinFile = join(dir, 'join-token');
  const listenAddress = options.listenAddress ?? '127.0.0.1';
  let host: string | null = null;
  let running: Running | null = null;
  mkdirSync(stateDir, { recursive: true });
  const config: Record<string, unknown> = {
    coordinator: { url: options.coordinatorUrl },
    joinTokenFile: joinFile,
    name: slice.agent,
    agent: slice.agent,
    stateDir,
    dockerSocket: options.dockerSocket,
    virtualCidr: slice.virtualCidr,
    tenantCidr: slice.tenantCidr,
    tenantPrefix: 26,
    bridgePrefix: `${slice.agent}-`,
    nginx: {
      binary: 'nginx',
      httpPort: slice.httpPort,
      listenAddress,
      internalPort: slice.internalPort,
      start: 'agent',
    },
    reserve: options.reserve ?? { memoryBytes: 0, diskBytes: 0 },
    logLevel: 'info',
  };
  const current = (): Running => {
    if (running === null) throw new Error(`agent ${slice.agent} does not run`);
    return running;
  };
  return {
    name: slice.agent,
    slice,
    stateDir,
    logFile,
    listenAddress,
    host() {
      if (host === null) throw new Error(`agent ${slice.agent} has not been enrolled yet`);
      return host;
    },
    pid: () => current().pid,
    async start({ failpoint } = {}) {
      if (host === null) writeFileSync(joinFile, await options.joinToken(), { mode: 0o600 });
      writeFileSync(configFile, JSON.stringify(config));
      const [first, ...rest] = [
        ...(options.inside ?? []),
        process.execPath,
        program('agent'),
        '--config',
        configFile,
      ];
      if (first === undefined) throw new Error('no program');
      running = start([first, ...rest], {
        logFile,
        env: failpoint === undefined ? {} : { BERTH_FAILPOINT: failpoint },
      });
      host = Ready.parse(await running.ready).host;
    },
    ended: () => current().ended,
    async kill(signal = 'SIGKILL') {
      await running?.kill(signal);
    },
    configure(change) {
      Object.assign(config, change);
    },
  };
}

/** What the file of this agent's log holds from a byte on. */
export function logOf(agent: AgentProcess, from = 0): string {
  return readFileSync(agent.logFile, 'utf8').slice(from);
}
