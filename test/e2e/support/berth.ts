import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..', '..', '..');

export function dist(program: 'cli' | 'coordinator' | 'agent'): string {
  const file = join(root, 'dist', `${program}.js`);
  if (!existsSync(file))
    throw new Error(`${file} is not built; npm test builds it first, or run npm run build`);
  return file;
}

export interface Said {
  code: number;
  stdout: string;
  stderr: string;
}

/** A directory of its own for one test file's berth, with the command line to it. */
export function berthIn(prefix: string) {
  const dir = mkdtempSync(join(tmpdir(), prefix));
  const home = join(dir, 'home');
  const env = (): NodeJS.ProcessEnv => {
    const kept = Object.entries(process.env).filter(([name]) => !/^(BERTH_|NO_COLOR|FORCE_COLOR)/.test(name));
    return { ...Object.fromEntries(kept), BERTH_HOME: home };
  };
  return {
    dir,
    home,
    env,
    file: (name: string, text: string): string => {
      const path = join(dir, name);
      writeFileSync(path, text, { mode: 0o600 });
      return path;
    },
    /** Starts `berth …` and leaves it running. */
    start: (args: readonly string[], extra: NodeJS.ProcessEnv = {}) =>
      spawn(process.execPath, [dist('cli'), ...args], {
        cwd: dir,
        env: { ...env(), ...extra },
        stdio: ['pipe', 'pipe', 'pipe'],
      }),
    /** Runs `berth …` to its end. */
    run: (
      args: readonly string[],
      options: { stdin?: string; env?: NodeJS.ProcessEnv } = {},
    ): Promise<Said> =>
      new Promise((resolve, reject) => {
        const child = spawn(process.execPath, [dist('cli'), ...args], {
          cwd: dir,
          env: { ...env(), ...options.env },
          stdio: ['pipe', 'pipe', 'pipe'],
        });
        const said = { stdout: '', stderr: '' };
        child.stdout.setEncoding('utf8').on('data', (chunk: string) => (said.stdout += chunk));
        child.stderr.setEncoding('utf8').on('data', (chunk: string) => (said.stderr += chunk));
        child.on('error', reject);
        child.on('close', (code) => resolve({ code: code ?? -1, ...said }));
        child.stdin.end(options.stdin ?? '');
      }),
    remove: () => rmSync(dir, { recursive: true, force: true }),
  };
}

/** A real coordinator on a free port, with its first admin token. */
export async function startCoordinator(dir: string) {
  const tokenFile = join(dir, 'admin-token');
  const config = join(dir, 'coordinator.json');
  writeFileSync(
    config,
    JSON.stringify({
      listen: { host: '127.0.0.1', port: 0 },
      store: { kind: 'sqlite', path: join(dir, 'berth.db') },
      adminTokenFile: tokenFile,
      logLevel: 'warn',
    }),
  );
  const child = spawn(process.execPath, [dist('coordinator'), '--config', config], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const url = await new Promise<string>((resolve, reject) => {
    let text = '';
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
      const found = /"url":"([^"]+)"/.exec(text)?.[1];
      if (found !== undefined) resolve(found);
    });
    child.once('close', (code) =>
      reject(new Error(`the coordinator ended with ${code} before it was ready`)),
    );
  });
  return {
    url,
    token: readFileSync(tokenFile, 'utf8').trim(),
    stop: async () => {
      child.kill('SIGTERM');
      await ended;
    },
  };
}
