import { createClient, type ApiClient } from '@berth/shared/api/client';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { z } from 'zod';
import { daemonFlags, daemonLibc } from '../../packages/cli/src/local/dist.ts';
import { unmountBelow } from '../../packages/cli/src/local/mounts.ts';
import type { Bench } from './bench.ts';
import { attempt } from './commands.ts';
import type { DockerApi } from './docker-api.ts';
import { chooseSlices, freePort } from './places.ts';

const dist = join(import.meta.dirname, '..', '..', 'dist');

/** A coordinator and an agent of their own, as built, with everything they need and nothing shared. */
export interface Instance {
  api: ApiClient;
  agent: string;
  host: string;
  home: string;
  httpPort: number;
  coordinatorPid: number;
  agentPid: number;
  nginxPid(): number;
  /** Each of the agent's log lines so far, for finding out why. */
  agentLog(): string;
}

/** Starts both and waits until the host is online. Everything it leaves on the machine is taken away at the end. */
export async function startInstance(bench: Bench, docker: DockerApi): Promise<Instance> {
  const home = await mkdtemp(join(tmpdir(), 'berth-bench-'));
  bench.defer('state', async () => {
    await unmountBelow(`${home}/`);
    await rm(home, { recursive: true, force: true });
  });
  const agent = `bn${Math.random().toString(36).slice(2, 6)}`;
  const slices = await chooseSlices(docker);
  const taken = new Set<number>();
  const [apiPort, httpPort, internalPort] = [
    await freePort(7800, taken),
    await freePort(8200, taken),
    await freePort(17_800, taken),
  ];
  const url = `http://127.0.0.1:${apiPort}`;
  const tokenFile = join(home, 'admin-token');
  const configs = {
    coordinator: {
      listen: { host: '127.0.0.1', port: apiPort },
      store: { kind: 'sqlite', path: join(home, 'berth.db') },
      adminTokenFile: tokenFile,
    },
    agent: {
      coordinator: { url },
      joinTokenFile: join(home, 'join-token'),
      name: `bench-${agent}`,
      agent,
      stateDir: join(home, 'agent'),
      dockerSocket: docker.socket,
      ...slices,
      tenantPrefix: 26,
      bridgePrefix: `b${agent.slice(2, 5)}-`,
      nginx: { binary: 'nginx', httpPort, listenAddress: '127.0.0.1', internalPort, start: 'agent' },
      reserve: { memoryBytes: 0, diskBytes: 0 },
    },
  };
  for (const [name, config] of Object.entries(configs))
    await writeFile(join(home, `${name}.json`), JSON.stringify(config), { mode: 0o600 });

  const coordinator = await startDaemon(bench, home, 'coordinator');
  const token = (await readFile(tokenFile, 'utf8')).trim();
  const api = createClient({ url, token });
  const joined = await api.createJoinToken({ body: {} });
  await writeFile(configs.agent.joinTokenFile, joined.token, { mode: 0o600 });

  bench.defer('network', () => removeNetwork(agent, slices));
  bench.defer('containers', () => removeFromDocker(docker, agent));
  const pidFile = join(home, 'agent', 'nginx', 'nginx.pid');
  const nginxPid = (): number => Number(readFileSync(pidFile, 'utf8').trim());
  bench.defer('Nginx', async () => {
    if (existsSync(pidFile)) await endPid(nginxPid());
  });
  const daemon = await startDaemon(bench, home, 'agent');
  const { host } = z.object({ host: z.string() }).parse(daemon.ready);
  for (let tries = 0; ; tries += 1) {
    bench.signal.throwIfAborted();
    if ((await api.showHost({ params: { host } })).connection === 'online') break;
    if (tries > 200) throw new Error('the agent did not come online');
    await wait(50);
  }
  return {
    api,
    agent,
    host,
    home,
    httpPort,
    coordinatorPid: coordinator.pid,
    agentPid: daemon.pid,
    nginxPid,
    agentLog: () => readFileSync(join(home, 'agent.log'), 'utf8'),
  };
}

/** Starts one of the built programs with the configuration `NAME.json` in `home`; ended with the bench. */
export async function startDaemon(
  bench: Bench,
  home: string,
  name: 'coordinator' | 'agent',
): Promise<{ pid: number; ready: unknown; child: ChildProcess }> {
  if (!existsSync(join(dist, `${name}.js`))) throw new Error(`dist/${name}.js was not built: npm run build`);
  const log = openSync(join(home, `${name}.log`), 'a', 0o600);
  const child = spawn(
    process.execPath,
    [
      ...profiling(name),
      ...daemonFlags(name),
      join(dist, `${name}.js`),
      '--config',
      join(home, `${name}.json`),
    ],
    { stdio: ['ignore', 'pipe', log], env: { ...environment(), ...daemonLibc(name) }, detached: true },
  );
  closeSync(log);
  bench.defer(name, () => endChild(child));
  const ready = await new Promise<unknown>((resolve, reject) => {
    let text = '';
    child.once('exit', (code) => {
      const tail = readFileSync(join(home, `${name}.log`), 'utf8').slice(-2000);
      reject(new Error(`the ${name} ended with ${code}: ${tail}`));
    });
    child.stdout?.setEncoding('utf8').on('data', (part: string) => {
      text += part;
      const line = text.split('\n').find((each) => each.includes('"ready"'));
      if (line !== undefined) resolve(JSON.parse(line));
    });
  });
  return { pid: child.pid ?? 0, ready, child };
}

/** BERTH_BENCH_PROF names a directory in which each daemon leaves a CPU profile when it ends. */
function profiling(name: string): string[] {
  const directory = process.env['BERTH_BENCH_PROF'];
  if (directory === undefined || directory === '') return [];
  return ['--cpu-prof', `--cpu-prof-dir=${directory}`, `--cpu-prof-name=${name}-${process.pid}.cpuprofile`];
}

function environment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('BERTH_')));
}

export async function endChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), 15_000);
  await ended;
  clearTimeout(timer);
}

async function endPid(pid: number): Promise<void> {
  const there = (): boolean => {
    try {
      process.kill(pid, 0);
      return true;
    } catch {
      return false;
    }
  };
  if (pid < 2 || !there()) return;
  process.kill(pid, 'SIGTERM');
  for (let waited = 0; waited < 5000 && there(); waited += 50) await wait(50);
}

const Found = z.array(z.object({ Id: z.string() }));

async function removeFromDocker(docker: DockerApi, agent: string): Promise<void> {
  const filters = encodeURIComponent(JSON.stringify({ label: [`berth.agent=${agent}`] }));
  const containers = Found.parse(await docker.call('GET', `/containers/json?all=1&filters=${filters}`));
  await inTurns(containers, 6, async ({ Id }) => {
    await docker.call('DELETE', `/containers/${Id}?force=1&v=1`, undefined, [404, 409]);
  });
  const networks = Found.parse(await docker.call('GET', `/networks?filters=${filters}`));
  for (const { Id } of networks) await docker.call('DELETE', `/networks/${Id}`, undefined, [404]);
}

async function removeNetwork(
  agent: string,
  slices: { virtualCidr: string; tenantCidr: string },
): Promise<void> {
  await attempt('nft', ['delete', 'table', 'inet', `berth_${agent}`]);
  await attempt('ip', ['route', 'del', 'local', slices.virtualCidr, 'dev', 'lo', 'table', 'local']);
  await attempt('ip', ['route', 'del', 'local', slices.virtualCidr, 'dev', 'lo']);
  await attempt('ip', ['route', 'del', 'unreachable', slices.tenantCidr, 'metric', '4096']);
}

/** Work on all items, at most `limit` at once. */
export async function inTurns<T>(
  items: readonly T[],
  limit: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const waiting = [...items];
  const lanes = Array.from({ length: Math.min(limit, waiting.length) }, async () => {
    for (let item = waiting.shift(); item !== undefined; item = waiting.shift()) await work(item);
  });
  await Promise.all(lanes);
}
