import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { createClient, type ApiClient } from '@berth/shared/api/client';
import { program } from './programs.ts';
import { start, type Running } from './processes.ts';

/** A coordinator process on SQLite, which can be killed and started again on the same port and data. */
export interface CoordinatorProcess {
  readonly logFile: string;
  url(): string;
  api(): ApiClient;
  pid(): number;
  start(): Promise<void>;
  kill(signal?: NodeJS.Signals): Promise<void>;
}

const Ready = z.object({ url: z.url() });

/**
 * `host` is where it listens; it chooses a free port at its first start. `extra`: more of its configuration, and of its
 * environment, looked at anew at each start.
 */
export function coordinatorIn(
  dir: string,
  host = '127.0.0.1',
  extra: { config?: Record<string, unknown>; env?: NodeJS.ProcessEnv } = {},
): CoordinatorProcess {
  const logFile = join(dir, 'coordinator.log');
  const tokenFile = join(dir, 'admin-token');
  const configFile = join(dir, 'coordinator.json');
  let port = 0;
  let running: Running | null = null;
  let api: ApiClient | null = null;
  const url = (): string => `http://${host}:${port}`;
  return {
    logFile,
    url,
    api() {
      if (api === null) throw new Error('the coordinator has not been started yet');
      return api;
    },
    pid: () => running?.pid ?? -1,
    async start() {
      const config = {
        listen: { host, port },
        store: { kind: 'sqlite', path: join(dir, 'berth.db') },
        adminTokenFile: tokenFile,
        fleet: { heartbeatMs: 1_000 },
        logLevel: 'warn',
        ...extra.config,
      };
      writeFileSync(configFile, JSON.stringify(config));
      running = start([process.execPath, program('coordinator'), '--config', configFile], {
        logFile,
        ...(extra.env === undefined ? {} : { env: extra.env }),
      });
      port = Number(new URL(Ready.parse(await running.ready).url).port);
      api ??= createClient({ url: url(), token: readFileSync(tokenFile, 'utf8').trim() });
    },
    async kill(signal = 'SIGKILL') {
      await running?.kill(signal);
      running = null;
    },
  };
}
