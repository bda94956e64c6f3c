import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Environment } from '../config.ts';

/** Where everything of one local instance lies, below BERTH_HOME. `toolchain` beside them belongs to the clone. */
export interface Home {
  dir: string;
  instanceFile: string;
  loginFile: string;
  coordinatorDir: string;
  coordinatorConfig: string;
  agentDir: string;
  agentConfig: string;
  joinTokenFile: string;
  logsDir: string;
  runDir: string;
}

export function homeAt(dir: string): Home {
  return {
    dir,
    instanceFile: join(dir, 'instance.json'),
    loginFile: join(dir, 'cli.json'),
    coordinatorDir: join(dir, 'coordinator'),
    coordinatorConfig: join(dir, 'coordinator', 'coordinator.json'),
    agentDir: join(dir, 'agent'),
    agentConfig: join(dir, 'agent', 'agent.json'),
    joinTokenFile: join(dir, 'run', 'join-token'),
    logsDir: join(dir, 'logs'),
    runDir: join(dir, 'run'),
  };
}

/** $BERTH_HOME, else .berth in this directory. */
export function homeOf(env: Environment, cwd: string): Home {
  return homeAt(env['BERTH_HOME'] ? resolve(cwd, env['BERTH_HOME']) : join(cwd, '.berth'));
}

export function makeDirs(home: Home): void {
  for (const dir of [home.dir, home.coordinatorDir, home.agentDir, home.logsDir, home.runDir]) {
    mkdirSync(dir, { recursive: true, mode: 0o700 });
  }
}

export const PROCESS_NAMES = ['up', 'agent', 'coordinator'] as const;
export type ProcessName = (typeof PROCESS_NAMES)[number];

export function processFile(home: Home, name: ProcessName): string {
  return join(home.runDir, `${name}.json`);
}
