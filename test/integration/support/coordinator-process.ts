import { spawn, type ChildProcess } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export interface CoordinatorProcess {
  url: string;
  /** Sends the signal and resolves with how the process ended. */
  end(signal: 'SIGTERM' | 'SIGKILL'): Promise<{ code: number | null; signal: string | null }>;
  /** All of its log so far. */
  log(): string;
}

const MAIN = fileURLToPath(import.meta.resolve('@berth/coordinator/main'));

/** A coordinator as it is really started, on a free port, with all its files in `dir`. */
export async function startCoordinator(
  dir: string,
  config: Record<string, unknown> = {},
): Promise<CoordinatorProcess> {
  const path = join(dir, 'coordinator.json');
  const store = { kind: 'sqlite', path: join(dir, 'berth.db') };
  const adminTokenFile = join(dir, 'admin-token');
  writeFileSync(path, JSON.stringify({ listen: { port: 0 }, store, adminTokenFile, ...config }));
  const child = spawn(process.execPath, [MAIN, '--config', path], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env['PATH'] ?? '' },
  });
  const ended = new Promise<{ code: number | null; signal: string | null }>((resolve) =>
    child.once('exit', (code, signal) => resolve({ code, signal })),
  );
  let log = '';
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (log += chunk));
  const url = await Promise.race([
    readyUrl(child),
    ended.then(({ code }) => {
      throw new Error(`the coordinator ended with ${code}: ${log}`);
    }),
  ]);
  return {
    url,
    log: () => log,
    async end(signal) {
      child.kill(signal);
      return await ended;
    },
  };
}

async function readyUrl(child: ChildProcess): Promise<string> {
  let said = '';
  return await new Promise<string>((resolve) => {
    child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
      said += chunk;
      const line = said.split('\n').find((each) => each.includes('"ready"'));
      if (line === undefined || !said.includes('\n')) return;
      const ready: unknown = JSON.parse(line);
      if (typeof ready === 'object' && ready !== null && 'url' in ready) resolve(String(ready.url));
    });
  });
}
