import { Site } from '@berth/shared/domain/network';
import { BerthError } from '@berth/shared/domain/errors';
import { chmod, mkdir, readFile, realpath, stat } from 'node:fs/promises';
import { request } from 'node:http';
import { dirname } from 'node:path';
import { z } from 'zod';
import { runCommand } from './command.ts';
import type { HostConfig } from './config.ts';
import { readIfThere, writeDurably } from './durable-file.ts';
import { atLeast, parseVersion, type NginxVersion } from './nginx-version.ts';
import { masterIsOurs, orphanedWorkers } from './nginx-processes.ts';
import type { SystemPaths } from './paths.ts';
import { cleanLine } from './text.ts';

/** Paused tenants are answered here; the kernel's map leads their virtual address to it. */
export const MAINTENANCE_ADDRESS = '127.0.0.1';
/** Like the public listener, without pooled connections to the containers: a check surely opens a new one. */
export const VERIFY_ADDRESS = '127.0.0.2';
/** Host names that nobody has are answered here. An `if` in the public server instead would cost every request. */
export const NOWHERE_ADDRESS = '127.0.0.3';
/** Paths of a known host that nothing routes are answered here, be it by a map of Nginx's or by the kernel's. */
export const UNROUTED_ADDRESS = '127.0.0.4';
/** What it says there; how one tells it from a 404 of a container's own. */
export const NOTHING_ROUTED = 'Nothing is routed here.';
/** Asked on the verify listener, Nginx tells which configuration it runs with. */
export const CONFIG_HOST = 'config.berth.internal';
/** How one request is written down: where it led, what was answered, seconds until the first byte. */
export const REQUESTS_FORMAT = 'berth_requests';
/** Asks for the log of requests; a pattern, so that Nginx starts without any such file as well. */
export const REQUESTS_INCLUDE = 'include requests/access*.conf;';

const Live = z.object({ digest: z.string(), sites: z.array(Site) });
export type LiveConfig = z.infer<typeof Live>;

/** The agent's own Nginx: own prefix, own pid file, a daemon that outlives the agent. */
export class NginxControl {
  readonly #config: HostConfig['nginx'];
  readonly #paths: SystemPaths;
  #reloads = 0;
  #pid: number | null = null;
  #live: LiveConfig | null | undefined;
  #version: NginxVersion | null = null;

  constructor(config: HostConfig['nginx'], paths: SystemPaths) {
    this.#config = config;
    this.#paths = paths;
  }

  /** How often it was told to reload since the agent began. */
  reloads(): number {
    return this.#reloads;
  }

  /** The binary's version; some directives came late. Throws `ingress_invalid` when it cannot be told. */
  async version(signal?: AbortSignal): Promise<NginxVersion> {
    if (this.#version === null) {
      const { stderr, stdout } = await runCommand(this.#config.binary, ['-v'], { signal });
      this.#version = parseVersion(`${stderr}${stdout}`);
    }
    if (this.#version !== null) return this.#version;
    throw new BerthError(
      'ingress_invalid',
      `${this.#config.binary} does not tell its version as Nginx does.`,
    );
  }

  /** Its master's pid, or null when it does not run. Costs one system call while nothing changes. */
  async alive(): Promise<number | null> {
    if (this.#pid !== null && answersSignals(this.#pid)) return this.#pid;
    this.#pid = null;
    const pid = Number((await readIfThere(this.#paths.nginxPid))?.trim() ?? '');
    if (!Number.isInteger(pid) || pid < 2 || !answersSignals(pid)) return null;
    // After a reboot the number may belong to anyone.
    if (!(await masterIsOurs(pid, this.#paths.nginxDir))) return null;
    this.#pid = pid;
    return pid;
  }

  /** Makes the prefix directory. Workers are not root, so they must be able to pass through to their temporary files. */
  async prepare(stateDir: string): Promise<void> {
    await mkdir(`${this.#paths.nginxDir}/tmp`, { recursive: true });
    await chmod(stateDir, 0o711);
    await chmod(this.#paths.nginxDir, 0o755);
    await chmod(`${this.#paths.nginxDir}/tmp`, 0o755);
  }

  /** Nginx's own verdict on a configuration file: null when it is good, otherwise its words. */
  async complaintAbout(file: string, signal?: AbortSignal): Promise<string | null> {
    const args = [...(await this.#prefix()), '-t', '-q', '-c', file];
    const result = await runCommand(this.#config.binary, args, { signal, timeoutMs: 30_000 });
    if (result.code === 0) return null;
    return cleanLine(result.stderr.replaceAll(file, 'the new configuration'), 800);
  }

  /** Tells the running master to read its configuration again. */
  reload(pid: number): void {
    this.#reloads += 1;
    process.kill(pid, 'SIGHUP');
  }

  /** Starts it as its own daemon, after asking workers that lost their master to leave. Throws `ingress_invalid`. */
  async start(signal?: AbortSignal): Promise<void> {
    for (const worker of await orphanedWorkers(this.#paths.nginxDir)) kill(worker, 'SIGQUIT');
    const [file, args] =
      this.#config.start === 'systemd'
        ? ['systemctl', ['start', 'berth-nginx.service']]
        : [this.#config.binary, [...(await this.#prefix()), '-c', this.#paths.nginxConf]];
    const result = await runCommand(file, args, { signal, timeoutMs: 30_000 });
    if (result.code !== 0)
      throw new BerthError('ingress_invalid', `Nginx did not start: ${cleanLine(result.stderr, 800)}`);
  }

  /** Asks it to end; open requests are cut after `worker_shutdown_timeout`. */
  async quit(): Promise<void> {
    const pid = await this.alive();
    if (pid !== null) kill(pid, 'SIGQUIT');
  }

  /** What it was last reloaded with, as remembered on disk; null when there is nothing that can be believed. */
  async live(): Promise<LiveConfig | null> {
    if (this.#live !== undefined) return this.#live;
    this.#live = null;
    try {
      const text = await readIfThere(this.#paths.nginxLive);
      const parsed: unknown = text === null ? null : JSON.parse(text);
      const checked = Live.safeParse(parsed);
      // It counts only while the configuration on disk is the one it was written for.
      const conf = (await readIfThere(this.#paths.nginxConf)) ?? '';
      // One that an older agent wrote, which counts no requests or has no page for what nothing routes, is written anew.
      const whole = conf.includes(REQUESTS_INCLUDE) && conf.includes(`listen ${UNROUTED_ADDRESS}:`);
      if (checked.success && whole && conf.includes(`"${checked.data.digest}"`)) this.#live = checked.data;
    } catch {
      // A torn file is the same as none: the configuration is written and loaded once more.
    }
    return this.#live;
  }

  async remember(live: LiveConfig): Promise<void> {
    this.#live = null;
    await writeDurably(this.#paths.nginxLive, JSON.stringify(live));
    this.#live = live;
  }

  /** From now on nobody knows what it runs with. */
  forget(): void {
    this.#live = null;
  }

  /** The digest of the configuration that answers now, or null when nothing answers. */
  async runningDigest(signal?: AbortSignal): Promise<string | null> {
    try {
      const answer = await this.ask(CONFIG_HOST, '/', { timeoutMs: 1_000, signal });
      return answer.status === 200 ? answer.body.trim() : null;
    } catch {
      return null;
    }
  }

  /** One GET through the verify listener, on a connection of its own. Rejects when nothing answers in time. */
  ask(
    host: string,
    path: string,
    options: { timeoutMs: number; signal?: AbortSignal | undefined },
  ): Promise<{ status: number; body: string }> {
    return getOnce({ address: VERIFY_ADDRESS, port: this.#config.internalPort, host, path, ...options });
  }

  /** Older ones write their first words to the distribution's error log; there is no option against it. */
  async #prefix(): Promise<string[]> {
    const { nginxDir } = this.#paths;
    const log = atLeast(await this.version(), [1, 19, 5]) ? ['-e', `${nginxDir}/error.log`] : [];
    return ['-p', `${nginxDir}/`, ...log];
  }
}

/** One GET on a new connection; only the first 4 KiB of the body are read. */
export function getOnce(options: {
  address: string;
  port: number;
  host: string;
  path: string;
  timeoutMs: number;
  signal?: AbortSignal | undefined;
}): Promise<{ status: number; body: string }> {
  const deadline = AbortSignal.timeout(options.timeoutMs);
  const signal = options.signal === undefined ? deadline : AbortSignal.any([options.signal, deadline]);
  return new Promise((resolve, reject) => {
    const req = request(
      {
        host: options.address,
        port: options.port,
        path: options.path,
        method: 'GET',
        agent: false,
        headers: { host: options.host, connection: 'close', 'user-agent': 'berth-probe' },
        signal,
      },
      (response) => {
        let body = '';
        const done = (): void => {
          resolve({ status: response.statusCode ?? 0, body });
          response.destroy();
        };
        response.setEncoding('utf8');
        response.on('data', (text: string) => {
          body += text;
          if (body.length >= 4096) done();
        });
        response.on('end', done);
        response.on('error', reject);
      },
    );
    req.on('error', reject);
    req.end();
  });
}

/** The user that Nginx's workers run as, from /etc/passwd; null leaves Nginx's own default. */
export async function workerUser(): Promise<string | null> {
  const passwd = await readFile('/etc/passwd', 'utf8').catch(() => '');
  const users = new Set(passwd.split('\n').map((line) => line.split(':')[0]));
  for (const user of ['www-data', 'nginx']) if (users.has(user)) return user;
  return users.has('nobody') ? 'nobody' : null;
}

/** Whether a process of any user can reach what lies in this directory: it and all above it may be passed through. */
export async function everybodyPasses(directory: string): Promise<boolean> {
  let at = await realpath(directory);
  for (;;) {
    if (((await stat(at)).mode & 0o001) === 0) return false;
    const above = dirname(at);
    if (above === at) return true;
    at = above;
  }
}

function answersSignals(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It left by itself.
  }
}
