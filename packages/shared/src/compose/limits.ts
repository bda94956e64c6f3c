import type { ServiceSpec } from '../domain/spec.ts';
import type { Fields, Row } from './fields.ts';
import { fields } from './fields.ts';
import type { Findings, Spot } from './findings.ts';
import { IGNORED_IN_DEPLOY } from './ignored.ts';
import type { Tree } from './positions.ts';
import { showSize } from './units.ts';
import { choice, decimal, integer, isDeferred, show, size, text } from './values.ts';

export const DEFAULT_MEMORY = 512 * 1024 ** 2;
const LEAST_MEMORY = 6 * 1024 ** 2;
const DEFAULT_CPUS = 1;
const DEFAULT_PIDS = 256;

const NO_DEVICES: readonly Row[] = [
  { key: 'devices', reason: "it gives a tenant the host's devices; GPUs are not supported" },
  { key: 'generic_resources', reason: 'it is for Swarm; remove it' },
];

export interface Resources extends Pick<ServiceSpec, 'limits' | 'reservation' | 'replicas'> {
  /** The restart policy as written; undefined when none is. */
  restart: { value: ServiceSpec['restart']; at: Spot } | undefined;
}

/**
 * Limits, reservations, replicas and the restart policy, from `deploy` and from the older keys beside it. Every
 * container has limits: 512 MiB, one CPU and 256 processes unless the file says more or less. A reservation is as
 * large as its limit unless it is given; a limit that is not given grows to a larger reservation.
 */
export function readResources(f: Findings, service: Fields): Resources {
  const deployNode = service.get('deploy');
  const deploy = nested(
    f,
    deployNode,
    'deploy',
    ['resources', 'replicas', 'restart_policy'],
    IGNORED_IN_DEPLOY,
  );
  const resources = nested(f, deploy.get('resources'), 'resources', ['limits', 'reservations']);
  const limits = nested(f, resources.get('limits'), 'limits', ['cpus', 'memory', 'pids'], [], NO_DEVICES);
  const reserved = nested(
    f,
    resources.get('reservations'),
    'reservations',
    ['cpus', 'memory'],
    [],
    NO_DEVICES,
  );

  const memoryNode = either(
    f,
    service.get('mem_limit'),
    limits.get('memory'),
    'mem_limit',
    'deploy.resources.limits.memory',
  );
  const cpusNode = either(f, service.get('cpus'), limits.get('cpus'), 'cpus', 'deploy.resources.limits.cpus');
  const pidsNode = either(
    f,
    service.get('pids_limit'),
    limits.get('pids'),
    'pids_limit',
    'deploy.resources.limits.pids',
  );
  const memoryKeepNode = either(
    f,
    service.get('mem_reservation'),
    reserved.get('memory'),
    'mem_reservation',
    'deploy.resources.reservations.memory',
  );
  const cpusKeepNode = reserved.get('cpus');
  const replicasNode = either(f, service.get('scale'), deploy.get('replicas'), 'scale', 'deploy.replicas');

  const memory = memoryNode === undefined ? undefined : readMemory(f, memoryNode);
  const cpus = cpusNode === undefined ? undefined : decimal(f, cpusNode, 0.01, 512);
  const pids = pidsNode === undefined ? undefined : readPids(f, pidsNode);
  const memoryKeep = memoryKeepNode === undefined ? undefined : readMemory(f, memoryKeepNode);
  const cpusKeep = cpusKeepNode === undefined ? undefined : decimal(f, cpusKeepNode, 0.01, 512);

  const memoryBytes = memory ?? Math.max(DEFAULT_MEMORY, memoryKeep ?? 0);
  const cpuLimit = cpus ?? Math.max(DEFAULT_CPUS, cpusKeep ?? 0);
  if (
    memory !== undefined &&
    memoryKeep !== undefined &&
    memoryKeepNode !== undefined &&
    memoryKeep > memory
  ) {
    f.error(
      memoryKeepNode,
      `reserves ${quantity(memoryKeepNode, showSize(memoryKeep))}, more than the memory limit allows`,
    );
  }
  if (cpus !== undefined && cpusKeep !== undefined && cpusKeepNode !== undefined && cpusKeep > cpus) {
    f.error(cpusKeepNode, `reserves ${show(cpusKeepNode)} CPUs, more than the limit allows`);
  }
  return {
    limits: { memoryBytes, cpus: cpuLimit, pids: pids ?? DEFAULT_PIDS },
    reservation: {
      memoryBytes: Math.min(memoryKeep ?? memoryBytes, memoryBytes),
      cpus: Math.min(cpusKeep ?? cpuLimit, cpuLimit),
    },
    replicas: replicasNode === undefined ? 1 : (integer(f, replicasNode, 1, 16) ?? 1),
    restart: readRestart(f, service.get('restart'), deploy.get('restart_policy')),
  };
}

function quantity(node: Tree, value: string): string {
  return node.kind === 'scalar' && node.filled ? show(node) : value;
}

function nested(
  f: Findings,
  node: Tree | undefined,
  what: string,
  known: readonly string[],
  ignored: readonly Row[] = [],
  refused: readonly Row[] = [],
): Fields {
  return node === undefined ? new Map() : fields(f, node, { what, known, ignored, refused });
}

/** The same setting may be given in two places, but then it must be the same. */
function either(
  f: Findings,
  short: Tree | undefined,
  long: Tree | undefined,
  a: string,
  b: string,
): Tree | undefined {
  if (short === undefined || long === undefined) return long ?? short;
  const known = !isDeferred(short) && !isDeferred(long);
  if (known && short.kind === 'scalar' && long.kind === 'scalar' && short.text !== long.text) {
    f.error(short, `${a} and ${b} differ; keep one of them`);
  }
  return long;
}

function readMemory(f: Findings, node: Tree): number | undefined {
  const bytes = size(f, node);
  if (bytes === undefined || bytes >= LEAST_MEMORY) return bytes;
  f.error(node, `must be at least ${showSize(LEAST_MEMORY)}, which Docker needs, not ${show(node)}`);
  return undefined;
}

function readPids(f: Findings, node: Tree): number | undefined {
  if (node.kind === 'scalar' && !node.deferred && /^(-1|0)$/.test(node.text)) {
    f.error(node, `${show(node)} would be no limit, and every container has one; give a number such as 1000`);
    return undefined;
  }
  return integer(f, node, 1, 4_194_304);
}

/** `deploy.restart_policy` wins over `restart`, as in Compose. */
function readRestart(f: Findings, short: Tree | undefined, policy: Tree | undefined): Resources['restart'] {
  const fromShort = short === undefined ? undefined : readShortRestart(f, short);
  if (policy === undefined)
    return short === undefined || fromShort === undefined ? undefined : { value: fromShort, at: short };
  const given = nested(f, policy, 'restart_policy', ['condition'], RESTART_IGNORED);
  const node = given.get('condition');
  const condition = node === undefined ? 'any' : choice(f, node, ['any', 'on-failure', 'none']);
  if (condition === undefined) return undefined;
  return {
    value: condition === 'any' ? 'always' : condition === 'none' ? 'no' : 'on-failure',
    at: node ?? policy,
  };
}

const RESTART_IGNORED: readonly Row[] = ['delay', 'max_attempts', 'window'].map((key) => ({
  key,
  reason: 'a container that keeps failing is restarted with growing pauses, and reported',
}));

function readShortRestart(f: Findings, node: Tree): ServiceSpec['restart'] | undefined {
  // YAML 1.1 files write `restart: no` without quotes and mean the word.
  if (node.kind === 'scalar' && node.value === false) return 'no';
  const what = 'one of no, always, on-failure, unless-stopped';
  const found = text(f, node, what, /^(no|always|unless-stopped|on-failure(:[0-9]{1,6})?)$/);
  if (found === undefined) return undefined;
  if (found === 'no') return 'no';
  if (!found.startsWith('on-failure')) return 'always';
  if (found.includes(':')) {
    f.warn(
      node,
      'the number of attempts has no effect: a container that keeps failing is restarted with growing pauses, and reported',
    );
  }
  return 'on-failure';
}
