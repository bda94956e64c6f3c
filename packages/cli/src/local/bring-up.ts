import { createClient, type ApiClient } from '@berth/shared/api/client';
import { BerthError } from '@berth/shared/domain/errors';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { readLogin, writeLogin, type Environment } from '../config.ts';
import { startChild, type Child } from './children.ts';
import { adminTokenFile, apiUrl, writeAgentConfig, writeCoordinatorConfig } from './daemon-configs.ts';
import { daemonFlags, daemonLibc, daemonScript } from './dist.ts';
import { connectDocker, dockerVersion, listContainers, type Docker } from './docker.ts';
import { makeDirs, processFile, PROCESS_NAMES, type Home } from './home.ts';
import {
  intruders,
  makeInstance,
  readInstance,
  usedAddresses,
  writeInstance,
  type Instance,
} from './instance.ts';
import { portIsFree } from './ports.ts';
import { recordedProcess, recordProcess } from './process.ts';
import { chooseSlices } from './ranges.ts';
import { verbsOf, type Verbs } from './started-by.ts';
import { supervise, type Supervisor } from './supervise.ts';

export interface BringUpOptions {
  home: Home;
  dockerSocket: string;
  coordinatorPort: number | undefined;
  httpPort: number | undefined;
  env: Environment;
  clock: { now(): number };
  random: () => number;
  signal: AbortSignal;
  /** One sentence of progress. */
  say: (sentence: string) => void;
}

export interface Local {
  home: Home;
  instance: Instance;
  docker: Docker;
  url: string;
  token: string;
  /** `made`: in this run, so it is to be shown, once. */
  tokenOrigin: 'made' | 'kept';
  api: ApiClient;
  host: string;
  /** Stops the agent, then the coordinator; containers, Nginx and routes stay. */
  stop(): Promise<void>;
}

/**
 * Starts this machine's coordinator and agent and waits until the host is online. What an earlier run left running
 * (containers, Nginx, routes) is adopted. Errors: BerthError when a run is under way, Docker is down, ports are taken.
 */
export async function bringUp(options: BringUpOptions): Promise<Local> {
  const { home, say, signal } = options;
  const verbs = verbsOf(options.env, home);
  refuseSecondRun(home, verbs);
  const docker = connectDocker(readInstance(home)?.dockerSocket ?? options.dockerSocket);
  const version = await dockerVersion(docker);
  if (version === undefined) {
    throw new BerthError(
      'docker_unavailable',
      `No Docker daemon answers at ${docker.socket}. Start it, or say where it is with DOCKER_HOST=unix:///path/to/docker.sock.`,
    );
  }
  makeDirs(home);
  recordProcess(processFile(home, 'up'), process.pid);
  const started: Supervisor[] = [];
  const stop = async (): Promise<void> => {
    for (const one of started.toReversed()) await one.stop();
    rmSync(processFile(home, 'up'), { force: true });
  };
  try {
    let instance = await settleInstance(options, docker);
    const had = existsSync(adminTokenFile(home));
    writeCoordinatorConfig(home, instance);
    const startCoordinator = (until: AbortSignal): Promise<Child> =>
      startDaemon('coordinator', options, until);
    const began = options.clock.now();
    const coordinator = await startCoordinator(signal);
    started.push(supervise('coordinator', coordinator, startCoordinator, say, options.clock));
    const url = apiUrl(instance);
    say(`coordinator ready at ${url} (${seconds(options.clock.now() - began)})`);

    const token = tokenOf(home, verbs);
    writeLogin(home.loginFile, { url, token });
    const api = createClient({ url, token });

    const agentBegan = options.clock.now();
    const startAgent = (until: AbortSignal): Promise<Child> => startDaemon('agent', options, until);
    // An agent whose state was lost is a new one to the coordinator, and joins again.
    const enrolled = instance.host !== null && existsSync(join(home.agentDir, 'identity.json'));
    const joinTokenFile = enrolled ? null : await newJoinToken(api, home, signal);
    writeAgentConfig(home, instance, hostName(instance), joinTokenFile);
    const agent = await startAgent(signal);
    const host = hostIn(agent) ?? instance.host ?? (await onlyHost(api, signal));
    if (instance.host !== host) {
      instance = { ...instance, host };
      writeInstance(home, instance);
    }
    rmSync(home.joinTokenFile, { force: true });
    writeAgentConfig(home, instance, hostName(instance), null);
    started.push(supervise('agent', agent, startAgent, say, options.clock));
    await untilOnline(api, host, signal);
    say(
      `agent ${instance.agent} online, Docker ${version}, Nginx on port ${instance.httpPort} (${seconds(options.clock.now() - agentBegan)})`,
    );
    return { home, instance, docker, url, token, tokenOrigin: had ? 'kept' : 'made', api, host, stop };
  } catch (thrown) {
    await stop();
    throw thrown;
  }
}

function refuseSecondRun(home: Home, verbs: Verbs): void {
  for (const name of PROCESS_NAMES) {
    const running = recordedProcess(processFile(home, name));
    if (running === undefined || running.pid === process.pid) continue;
    const advice =
      name === 'up'
        ? `Use it as it is, stop it there with Ctrl-C, or remove all of it with: ${verbs.remove}`
        : `An earlier run left it behind. End it (kill ${running.pid}) and start again, or remove all of it with: ${verbs.remove}`;
    const what = name === 'up' ? `${verbs.start} already runs` : `The ${name} of an earlier run still runs`;
    throw new BerthError('conflict', `${what} for ${home.dir} (process ${running.pid}). ${advice}`);
  }
}

/** The instance of this home, new or kept. Kept ports and ranges that someone else took meanwhile are chosen anew, where that is safe. */
async function settleInstance(options: BringUpOptions, docker: Docker): Promise<Instance> {
  const { home, say } = options;
  const kept = readInstance(home);
  if (kept === undefined) {
    const made = await makeInstance(docker, options, options.random);
    writeInstance(home, made);
    return made;
  }
  let instance = kept;
  if (!(await portIsFree(instance.coordinatorPort))) {
    const made = await makeInstance(
      docker,
      { coordinatorPort: options.coordinatorPort, httpPort: undefined },
      options.random,
    );
    say(
      `port ${instance.coordinatorPort} is taken by another program now; the API moves to ${made.coordinatorPort}`,
    );
    instance = { ...instance, coordinatorPort: made.coordinatorPort };
  } else if (options.coordinatorPort !== undefined) {
    instance = { ...instance, coordinatorPort: options.coordinatorPort };
  }
  if (options.httpPort !== undefined && options.httpPort !== instance.httpPort) {
    instance = { ...instance, httpPort: options.httpPort };
  }
  const foreign = await intruders(docker, instance);
  if (foreign.length > 0) {
    const taken = foreign
      .map((use) => `${use.range.text}${use.dev === undefined ? '' : ` on ${use.dev}`}`)
      .join(', ');
    if ((await listContainers(docker, instance.agent)).length > 0) {
      throw new BerthError(
        'conflict',
        `Addresses of this instance (${instance.virtualCidr}, ${instance.tenantCidr}) are now also used by ${taken}. Its tenants run there, so it cannot move: remove the other use, or start anew after: ${verbsOf(options.env, home).remove}`,
      );
    }
    const slices = chooseSlices(await usedAddresses(docker), Math.floor(options.random() * 16));
    if (slices === undefined)
      throw new BerthError(
        'address_exhausted',
        `The address ranges of this instance are taken by ${taken}, and no others are free.`,
      );
    say(
      `the address ranges are taken by ${taken}; using ${slices.virtualCidr} and ${slices.tenantCidr} instead`,
    );
    instance = { ...instance, ...slices };
  }
  if (instance !== kept) writeInstance(home, instance);
  return instance;
}

function startDaemon(
  name: 'coordinator' | 'agent',
  options: BringUpOptions,
  signal: AbortSignal,
): Promise<Child> {
  const { home } = options;
  const script = daemonScript(name);
  if (!existsSync(script))
    throw new BerthError('internal', `${script} was not built. Build it: npm run build`);
  return startChild({
    name,
    flags: daemonFlags(name),
    script,
    args: ['--config', name === 'coordinator' ? home.coordinatorConfig : home.agentConfig],
    logFile: join(home.logsDir, `${name}.log`),
    processFile: processFile(home, name),
    env: { ...daemonEnv(), ...daemonLibc(name) },
    readyMs: 60_000,
    signal,
  });
}

/** The admin token: the coordinator's file, else the login of an earlier run. */
function tokenOf(home: Home, verbs: Verbs): string {
  try {
    return readFileSync(adminTokenFile(home), 'utf8').trim();
  } catch (cause) {
    const login = readLogin(home.loginFile);
    if (login !== undefined) return login.token;
    throw new BerthError(
      'unauthenticated',
      `The coordinator has tokens, but ${adminTokenFile(home)} and ${home.loginFile} are both gone. Put an admin token into the first, or start anew after: ${verbs.remove}`,
      { cause },
    );
  }
}

/** Settings and tokens of this shell are not the daemons' own: their config files say it all. */
function daemonEnv(): NodeJS.ProcessEnv {
  const entries = Object.entries(process.env).filter(([name]) => !name.startsWith('BERTH_'));
  return Object.fromEntries(entries);
}

async function newJoinToken(api: ApiClient, home: Home, signal: AbortSignal): Promise<string> {
  const made = await api.createJoinToken({ body: {} }, signal);
  rmSync(home.joinTokenFile, { force: true });
  writeFileSync(home.joinTokenFile, `${made.token}\n`, { mode: 0o600 });
  return home.joinTokenFile;
}

/** The machine's own name, made to fit what a host may be called; told apart from other agents by its id. */
function hostName(instance: Instance): string {
  const name = hostname()
    .replaceAll(/[^a-zA-Z0-9.-]/g, '-')
    .replace(/^[^a-zA-Z0-9]+/, '')
    .slice(0, 50);
  return `${name === '' ? 'host' : name}-${instance.agent}`;
}

function hostIn(agent: Child): string | undefined {
  const { host } = agent.ready;
  return typeof host === 'string' && /^h_[a-z0-9]{16}$/.test(host) ? host : undefined;
}

async function onlyHost(api: ApiClient, signal: AbortSignal): Promise<string> {
  const hosts = await api.listHosts({ query: {} }, signal);
  const host = hosts.items.at(-1);
  if (host === undefined)
    throw new BerthError('no_host', 'The agent is ready, but the coordinator knows no host.');
  return host.host;
}

async function untilOnline(api: ApiClient, host: string, signal: AbortSignal): Promise<void> {
  for (let waited = 0; waited < 30_000; waited += 100) {
    const now = await api.showHost({ params: { host } }, signal);
    if (now.connection === 'online') return;
    await sleep(100, undefined, { signal });
  }
  throw new BerthError(
    'host_offline',
    `The agent runs, but the coordinator has not seen it online for 30 s (host ${host}).`,
  );
}

export function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
