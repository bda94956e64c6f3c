import { createClient, type ApiClient } from '@berth/shared/api/client';
import type { SecretKeys } from '@berth/shared/api/secrets';
import { BerthError, messageOf } from '@berth/shared/domain/errors';
import { statfs } from 'node:fs/promises';
import { freemem, totalmem } from 'node:os';
import { readFileSync } from 'node:fs';
import { connectionOf, type Connection, type Environment } from '../config.ts';
import { bytes } from '../output/format.ts';
import { run } from './command.ts';
import { connectDocker, dockerSocketOf, dockerVersion, type Docker } from './docker.ts';
import type { Home } from './home.ts';
import { intruders, readInstance, usedAddresses, type Instance } from './instance.ts';
import { freePort, portIsFree } from './ports.ts';
import { chooseSlices } from './ranges.ts';
import { nginxOf } from './teardown.ts';
import { verbsOf } from './started-by.ts';

export interface Check {
  check: string;
  state: 'ok' | 'warn' | 'fail';
  message: string;
  /** What to do, when it is not ok. */
  advice: string | null;
}

export interface CheckOptions {
  home: Home;
  env: Environment;
  cwd: string;
  clock: { now(): number };
  connection: { url?: string | undefined; tokenFile?: string | undefined };
}

const GIB = 1024 ** 3;

const ok = (check: string, message: string): Check => ({ check, state: 'ok', message, advice: null });
const warn = (check: string, message: string, advice: string): Check => ({
  check,
  state: 'warn',
  message,
  advice,
});
const fail = (check: string, message: string, advice: string): Check => ({
  check,
  state: 'fail',
  message,
  advice,
});

/** Everything Berth needs on this machine and of its coordinator, looked at and never changed. */
export async function runChecks(options: CheckOptions): Promise<Check[]> {
  const instance = readInstance(options.home);
  const docker = connectDocker(instance?.dockerSocket ?? dockerSocketOf(options.env), 5000);
  const version = await dockerVersion(docker);
  return [
    dockerCheck(docker, version),
    await programCheck('nginx', ['-v'], 'apt-get install nginx-light'),
    await programCheck('nft', ['--version'], 'apt-get install nftables'),
    await nftCheck(),
    await programCheck('conntrack', ['--version'], 'apt-get install conntrack'),
    await programCheck('ip', ['-V'], 'apt-get install iproute2'),
    memoryCheck(),
    await diskCheck(options.cwd),
    await portsCheck(options.home, instance),
    await rangesCheck(docker, version, instance),
    ...(await coordinatorChecks(options, instance)),
  ];
}

function dockerCheck(docker: Docker, version: string | undefined): Check {
  if (version !== undefined) return ok('docker', `version ${version} at ${docker.socket}`);
  return fail(
    'docker',
    `nothing answers at ${docker.socket}`,
    'Start it (systemctl start docker), or set DOCKER_HOST=unix:///path/to/docker.sock. Without rights to the socket, run as root.',
  );
}

async function programCheck(program: string, args: readonly string[], install: string): Promise<Check> {
  const { code, stdout, stderr } = await run(program, args, 5000);
  if (code === null) return fail(program, 'is not installed', `Install it: ${install}`);
  return ok(program, (stdout + stderr).trim().split('\n')[0] ?? '');
}

async function nftCheck(): Promise<Check> {
  const { code, stderr } = await run('nft', ['list', 'tables'], 5000);
  if (code === 0) return ok('nft rights', 'tables can be read');
  return fail(
    'nft rights',
    stderr.trim().split('\n')[0] ?? 'nft failed',
    'The agent needs root, or CAP_NET_ADMIN.',
  );
}

function memoryCheck(): Check {
  const available = Number(/^MemAvailable:\s+(\d+) kB/m.exec(readMeminfo())?.[1] ?? freemem() / 1024) * 1024;
  const message = `${bytes(available)} available of ${bytes(totalmem())}`;
  if (available < GIB / 4)
    return fail('memory', message, 'Tenants will be refused. Free memory or take a larger machine.');
  if (available < GIB)
    return warn('memory', message, 'Enough for a trial; each tenant also needs what its limits say.');
  return ok('memory', message);
}

function readMeminfo(): string {
  try {
    return readFileSync('/proc/meminfo', 'utf8');
  } catch {
    return '';
  }
}

async function diskCheck(dir: string): Promise<Check> {
  const facts = await statfs(dir);
  const free = facts.bavail * facts.bsize;
  const message = `${bytes(free)} free at ${dir}`;
  if (free < GIB / 2) return fail('disk', message, 'Images and state need room: free some space.');
  if (free < 5 * GIB) return warn('disk', message, 'Enough for a trial; images of real apps need more.');
  return ok('disk', message);
}

async function portsCheck(home: Home, instance: Instance | undefined): Promise<Check> {
  if (instance === undefined) {
    const http = await freePort(8080, new Set());
    const api = await freePort(7700, new Set());
    if (http === undefined || api === undefined) {
      return fail(
        'ports',
        'no port is free near 7700 or 8080',
        'Say which to use: berth up --port P --http-port P',
      );
    }
    return ok('ports', `berth up would use ${api} for the API and ${http} for HTTP`);
  }
  const httpTaken = !(await portIsFree(instance.httpPort));
  if (httpTaken && nginxOf(home).length === 0) {
    return fail(
      'ports',
      `port ${instance.httpPort} is used by a program that is not Berth's Nginx`,
      'Stop that program, or choose another port: berth up --http-port P',
    );
  }
  return ok(
    'ports',
    `API ${instance.coordinatorPort}, HTTP ${instance.httpPort}${httpTaken ? ' (served by Nginx)' : ' (free)'}`,
  );
}

async function rangesCheck(
  docker: Docker,
  version: string | undefined,
  instance: Instance | undefined,
): Promise<Check> {
  if (version === undefined)
    return warn('addresses', 'not looked at, Docker does not answer', 'Start Docker first.');
  if (instance === undefined) {
    const slices = chooseSlices(await usedAddresses(docker), 0);
    return slices === undefined
      ? fail(
          'addresses',
          'all of 198.18.0.0/16 and 198.19.0.0/16 is in use',
          'Remove instances or routes that use them.',
        )
      : ok('addresses', `free, for example ${slices.virtualCidr} and ${slices.tenantCidr}`);
  }
  const foreign = await intruders(docker, instance);
  const message = `${instance.virtualCidr} and ${instance.tenantCidr}`;
  if (foreign.length === 0) return ok('addresses', `${message}, used by this instance only`);
  return fail(
    'addresses',
    `${message} are also used by ${foreign.map((use) => use.range.text).join(', ')}`,
    'Remove the other use of these addresses.',
  );
}

/** Nothing of a coordinator that keeps none, and for who may not look. */
async function secretsCheck(client: ApiClient, signal: AbortSignal): Promise<Check[]> {
  let answer: SecretKeys;
  try {
    answer = await client.secretKeys({ query: {} }, signal);
  } catch (thrown) {
    if (thrown instanceof BerthError && ['forbidden', 'not_found'].includes(thrown.code)) return [];
    throw thrown;
  }
  const versions = answer.keys.reduce((sum, each) => sum + each.versions, 0);
  const lost = answer.keys.filter((each) => each.problem !== null);
  const first = lost[0];
  if (first !== undefined) {
    const many = lost.reduce((sum, each) => sum + each.versions, 0);
    const message = `${many} of ${versions} versions cannot be opened: ${first.key}: ${first.problem ?? ''}`;
    return [
      fail(
        'secrets',
        message,
        'Put the key back from its copy; hosts go on with what they have. See: berth secret keys',
      ),
    ];
  }
  if (answer.problem !== null)
    return versions === 0
      ? [warn('secrets', answer.problem, 'No tenant can have secrets until then.')]
      : [fail('secrets', answer.problem, 'See: berth secret keys')];
  return [
    ok('secrets', versions === 0 ? 'none yet' : `${versions} versions, wrapped with ${answer.current ?? ''}`),
  ];
}

async function coordinatorChecks(options: CheckOptions, instance: Instance | undefined): Promise<Check[]> {
  let connection: Connection;
  const open: string[] = [];
  try {
    connection = connectionOf(options.connection, options.env, options.cwd, (one) => open.push(one));
  } catch (thrown) {
    return [warn('coordinator', messageOf(thrown), 'Start one here (berth up) or log in (berth login URL).')];
  }
  const { url, token } = connection;
  const client = createClient(token === undefined ? { url } : { url, token });
  const signal = AbortSignal.timeout(5000);
  const checks = open.map((sentence) =>
    warn('token', sentence, 'Whoever has the token may do what you may.'),
  );
  try {
    const status = await client.status({}, signal);
    checks.push(
      status.mode === 'apply'
        ? ok('coordinator', `${url}, version ${status.version}`)
        : warn(
            'coordinator',
            `${url} only observes: ${status.modeReason ?? 'no reason given'}`,
            'Once sure: berth coordinator confirm-epoch',
          ),
    );
    checks.push(
      status.hosts.total > 0 && status.hosts.online === status.hosts.total
        ? ok('agents', `${status.hosts.online} of ${status.hosts.total} online`)
        : warn(
            'agents',
            `${status.hosts.online} of ${status.hosts.total} online`,
            'See which, and since when: berth host list',
          ),
    );
    if (instance?.host != null) {
      const host = await client.showHost({ params: { host: instance.host } }, signal);
      checks.push(
        host.connection === 'online'
          ? ok('local agent', `${host.name} is online`)
          : fail(
              'local agent',
              `${host.name} is ${host.connection.replace('-', ' ')}`,
              `Its log: ${options.home.logsDir}/agent.log. Start it: ${verbsOf(options.env, options.home).start}`,
            ),
      );
    }
    checks.push(...(await secretsCheck(client, signal)));
    checks.push(await clockCheck(url, options.clock));
  } catch (thrown) {
    checks.push(
      fail(
        'coordinator',
        messageOf(thrown),
        `Start it (${verbsOf(options.env, options.home).start}, or berth coordinator), or log in to another (berth login URL).`,
      ),
    );
  }
  return checks;
}

/** The server's Date header has whole seconds, so only a difference of several counts. */
async function clockCheck(url: string, clock: { now(): number }): Promise<Check> {
  const response = await fetch(`${url}/healthz`, { signal: AbortSignal.timeout(5000) });
  const server = Date.parse(response.headers.get('date') ?? '');
  if (Number.isNaN(server))
    return warn('clock', 'the coordinator does not say its time', 'Compare the clocks by hand.');
  const skew = Math.round((clock.now() - server) / 1000);
  const message = `${Math.abs(skew)} s apart from the coordinator`;
  if (Math.abs(skew) <= 5) return ok('clock', message);
  return (Math.abs(skew) <= 60 ? warn : fail)('clock', message, 'Set the clock, and keep it with NTP.');
}
