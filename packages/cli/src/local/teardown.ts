import { messageOf } from '@berth/shared/domain/errors';
import { existsSync, readdirSync, readFileSync, rmdirSync, rmSync } from 'node:fs';
import { z } from 'zod';
import { readLogin } from '../config.ts';
import { run, runJson } from './command.ts';
import { apiUrl } from './daemon-configs.ts';
import {
  connectDocker,
  dockerVersion,
  listBuiltImages,
  listContainers,
  listNetworks,
  listVolumes,
  type Docker,
} from './docker.ts';
import { processFile, PROCESS_NAMES, type Home } from './home.ts';
import { unmountBelow } from './mounts.ts';
import { readInstance, type Instance } from './instance.ts';
import { endProcess, identify, recordedProcess } from './process.ts';
import { foreignUses, parseRange, usesOf, within } from './ranges.ts';

export interface TearDownResult {
  removed: string[];
  /** What stays because somebody else uses it, each with who. */
  kept: string[];
  /** What could not be removed, each with why. */
  remaining: string[];
}

/** What `down` would remove, named, for the question before. */
export async function whatIsThere(home: Home): Promise<string[]> {
  const instance = readInstance(home);
  if (instance === undefined) return [];
  const docker = connectDocker(instance.dockerSocket, 5000);
  if ((await dockerVersion(docker)) === undefined)
    return [`everything of instance ${instance.agent} (Docker does not answer)`];
  const containers = await listContainers(docker, instance.agent);
  const volumes = await listVolumes(docker, instance.agent);
  const images = await listBuiltImages(docker, instance.agent);
  return [
    ...containers.map((one) => `container ${one.Names[0]?.slice(1) ?? one.Id.slice(0, 12)}`),
    ...volumes.map((name) => `volume ${name}, with its data`),
    ...images.map((name) => `image ${name}`),
    `the state of instance ${instance.agent} in ${home.dir}`,
  ];
}

/**
 * Removes all that one local instance owns, and nothing else: daemons, containers, networks, volumes, images its example
 * build made, Nginx, nft tables, routes, state. Every part is tried whatever became of the others, and twice does no
 * harm. The state stays while something remains, so that it can be run again.
 */
export async function tearDown(home: Home, say: (sentence: string) => void): Promise<TearDownResult> {
  const result: TearDownResult = { removed: [], kept: [], remaining: [] };
  const removed = (what: string): void => {
    result.removed.push(what);
    say(`removed ${what}`);
  };
  const part = async (what: string, work: () => Promise<void>): Promise<void> => {
    try {
      await work();
    } catch (thrown) {
      result.remaining.push(`${what}: ${messageOf(thrown)}`);
    }
  };
  await part('processes', () => stopDaemons(home, result, say));
  const instance = readInstance(home);
  if (instance !== undefined) {
    await part('Nginx', () => stopNginx(home, removed));
    await part('mounts', async () => {
      for (const path of await unmountBelow(`${home.agentDir}/`)) removed(`mount ${path}`);
    });
    await part(`what carries the Docker label berth.agent=${instance.agent}`, () =>
      removeFromDocker(connectDocker(instance.dockerSocket), instance, removed, result),
    );
    await part('nft tables', () => removeTables(instance, removed));
    await part('routes', () => removeRoutes(instance, removed, result));
  }
  if (result.remaining.length === 0) await part('state', async () => removeState(home, instance, removed));
  return result;
}

async function stopDaemons(
  home: Home,
  result: TearDownResult,
  say: (sentence: string) => void,
): Promise<void> {
  // `up` first: it would start the others again.
  for (const name of PROCESS_NAMES) {
    const running = recordedProcess(processFile(home, name));
    if (running === undefined || running.pid === process.pid) continue;
    const end = await endProcess(running, name === 'up' ? 45_000 : 20_000);
    if (end === 'stuck')
      result.remaining.push(`the ${name} (process ${running.pid}) does not end, even killed`);
    else say(`stopped the ${name === 'up' ? 'foreground run' : name} (process ${running.pid})`);
  }
}

/** Nginx masters that run with a config or prefix inside this instance's state directory. */
export function nginxOf(home: Home): number[] {
  const masters: number[] = [];
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      const title = readFileSync(`/proc/${entry}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
      if (title.startsWith('nginx: master process') && `${title} `.includes(` ${home.agentDir}/`))
        masters.push(Number(entry));
    } catch {
      // The process has ended.
    }
  }
  return masters;
}

async function stopNginx(home: Home, removed: (what: string) => void): Promise<void> {
  for (const pid of nginxOf(home)) {
    const identity = identify(pid);
    if (identity === undefined) continue;
    const end = await endProcess(identity, 5000);
    if (end === 'stuck') throw new Error(`process ${pid} does not end`);
    removed(`Nginx (process ${pid})`);
  }
}

async function removeFromDocker(
  docker: Docker,
  instance: Instance,
  removed: (what: string) => void,
  result: TearDownResult,
): Promise<void> {
  if ((await dockerVersion(docker)) === undefined) {
    throw new Error(`Docker does not answer at ${docker.socket}; start it and try again`);
  }
  const drop = async (path: string, what: string): Promise<void> => {
    const answer = await docker.call('DELETE', path);
    if (answer.status < 300) removed(what);
    else if (answer.status !== 404) result.remaining.push(`${what}: ${dockerMessage(answer.body)}`);
  };
  const containers = await listContainers(docker, instance.agent);
  for (let at = 0; at < containers.length; at += 4) {
    await Promise.all(
      containers
        .slice(at, at + 4)
        .map((one) =>
          drop(
            `/containers/${one.Id}?force=1&v=1`,
            `container ${one.Names[0]?.slice(1) ?? one.Id.slice(0, 12)}`,
          ),
        ),
    );
  }
  for (const network of await listNetworks(docker, instance.agent)) {
    await drop(`/networks/${network.Id}`, `network ${network.Name}`);
  }
  for (const volume of await listVolumes(docker, instance.agent)) {
    await drop(`/volumes/${encodeURIComponent(volume)}`, `volume ${volume}`);
  }
  for (const image of await listBuiltImages(docker, instance.agent)) {
    const answer = await docker.call('DELETE', `/images/${image}`);
    if (answer.status < 300) removed(`image ${image}`);
    // A container of another instance runs it: it is that one's now.
    else if (answer.status === 409) result.kept.push(`image ${image}: ${dockerMessage(answer.body)}`);
    else if (answer.status !== 404) result.remaining.push(`image ${image}: ${dockerMessage(answer.body)}`);
  }
}

function dockerMessage(body: unknown): string {
  const parsed = z.object({ message: z.string() }).safeParse(body);
  return parsed.success ? parsed.data.message : 'Docker refused without a reason';
}

const Tables = z.object({
  nftables: z.array(z.object({ table: z.object({ family: z.string(), name: z.string() }).optional() })),
});

async function removeTables(instance: Instance, removed: (what: string) => void): Promise<void> {
  const listed = Tables.safeParse(await runJson('nft', ['-j', 'list', 'tables']));
  if (!listed.success)
    throw new Error(`nft could not list its tables; look for berth_${instance.agent} by hand`);
  for (const { table } of listed.data.nftables) {
    if (table === undefined) continue;
    if (table.name !== `berth_${instance.agent}` && !table.name.startsWith(`berth_${instance.agent}_`))
      continue;
    const { code, stderr } = await run('nft', ['delete', 'table', table.family, table.name]);
    if (code !== 0) throw new Error(`nft delete table ${table.family} ${table.name}: ${stderr.trim()}`);
    removed(`nft table ${table.family} ${table.name}`);
  }
}

const Routes = z.array(
  z.object({
    dst: z.string(),
    type: z.string().optional(),
    dev: z.string().optional(),
    table: z.string().optional(),
  }),
);

/**
 * Only the two kinds of route the agent adds, and only inside this instance's own slices. Where somebody else has moved
 * into them meanwhile, the routes may be theirs, and stay.
 */
async function removeRoutes(
  instance: Instance,
  removed: (what: string) => void,
  result: TearDownResult,
): Promise<void> {
  const routes = await runJson('ip', ['-j', '-4', 'route', 'show', 'table', 'all']);
  const listed = Routes.safeParse(routes);
  if (!listed.success) throw new Error('ip could not list the routes');
  const others = foreignUses(usesOf(routes, []), instance, instance.bridgePrefix);
  const slices = { local: parseRange(instance.virtualCidr), unreachable: parseRange(instance.tenantCidr) };
  for (const route of listed.data) {
    const type = route.type;
    if (type !== 'local' && type !== 'unreachable') continue;
    const slice = slices[type];
    const range = parseRange(route.dst);
    if (slice === undefined || range === undefined || !within(range, slice)) continue;
    // An address of a bridge has a local route of its own, which goes with the bridge.
    if (type === 'local' && route.dev !== 'lo') continue;
    const other = others[0];
    if (other !== undefined) {
      result.kept.push(
        `route ${type} ${route.dst}: ${other.range.text} on ${other.dev ?? 'this host'} is somebody else's`,
      );
      continue;
    }
    const args = ['route', 'del', type, route.dst];
    if (route.dev !== undefined) args.push('dev', route.dev);
    if (route.table !== undefined) args.push('table', route.table);
    const { code, stderr } = await run('ip', args);
    if (code !== 0) throw new Error(`ip ${args.join(' ')}: ${stderr.trim()}`);
    removed(`route ${type} ${route.dst}`);
  }
}

function removeState(home: Home, instance: Instance | undefined, removed: (what: string) => void): void {
  const paths = [
    home.coordinatorDir,
    home.agentDir,
    home.logsDir,
    ...PROCESS_NAMES.map((name) => processFile(home, name)),
    home.joinTokenFile,
    ...(loginIsLocal(home, instance) ? [home.loginFile] : []),
    `${home.instanceFile}.new`,
    // Last: without it nobody knows what else to look for.
    home.instanceFile,
  ];
  let any = 0;
  for (const path of paths) {
    if (!existsSync(path)) continue;
    rmSync(path, { recursive: true, force: true });
    any += 1;
  }
  for (const dir of [home.runDir, home.dir]) {
    try {
      rmdirSync(dir);
    } catch {
      // Not empty: the toolchain, or something of the bootstrap, lives there too.
    }
  }
  if (any > 0) removed(`state in ${home.dir}`);
}

/** A login to some other coordinator, made with the same BERTH_HOME, stays. */
function loginIsLocal(home: Home, instance: Instance | undefined): boolean {
  try {
    return instance !== undefined && readLogin(home.loginFile)?.url === apiUrl(instance);
  } catch {
    return false;
  }
}
