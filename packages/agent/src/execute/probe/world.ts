import { BerthError } from '@berth/shared/domain/errors';
import type { TenantNetwork } from '@berth/shared/domain/network';
import type { ServiceSpec } from '@berth/shared/domain/spec';
import { z } from 'zod';
import { parseCidr } from '../../system/cidr.ts';
import { runChecked, runCommand } from '../../system/command.ts';
import { Listing } from '../../system/docker-listing.ts';
import { AGENT_LABEL, TENANT_LABEL } from '../../system/labels.ts';
import type { ExecuteDeps } from '../context.ts';
import { containerBody } from '../docker/container-body.ts';
import type { NetworkBase } from '../network/base.ts';
import { ensureNetwork } from '../network/network.ts';
import { imageName } from './image.ts';

/** Containers of a probe carry this and not {@link AGENT_LABEL}: the planner must not take them for tenants'. */
const PROBE_LABEL = 'berth.probe';
/** No tenant can have such a name: an underscore is not allowed in one. */
export const PROBE_TENANTS = ['probe_a', 'probe_b'] as const;
export type ProbeTenant = (typeof PROBE_TENANTS)[number];

export interface Room {
  network: TenantNetwork;
  address(index: number): string;
}

/** Two throw-away tenants' networks, from the end of the agent's range that real tenants take last. */
export async function makeRooms(
  deps: ExecuteDeps,
  base: NetworkBase,
  signal: AbortSignal,
): Promise<Record<ProbeTenant, Room>> {
  const { config, networks } = deps.system;
  const range = parseCidr(config.tenantCidr);
  const size = 2 ** (32 - config.tenantPrefix);
  const taken = new Set((await networks.list(signal)).map((each) => each.subnet));
  const free: Room[] = [];
  const slots = range === null ? 0 : 2 ** (config.tenantPrefix - range.prefix);
  for (let slot = slots - 1; slot >= 0 && free.length < PROBE_TENANTS.length; slot -= 1) {
    const first = (range?.base ?? 0) + slot * size;
    const subnet = `${dotted(first)}/${config.tenantPrefix}`;
    if (taken.has(subnet)) continue;
    const tenant = PROBE_TENANTS[free.length] ?? 'probe_a';
    const network: TenantNetwork = {
      tenant,
      name: `${config.agent}-${tenant}`,
      bridge: `${config.bridgePrefix}${slot.toString(36)}`,
      subnet,
      gateway: dotted(first + 1),
    };
    free.push({ network, address: (index) => dotted(first + 2 + index) });
  }
  const [a, b] = free;
  if (a === undefined || b === undefined)
    throw new BerthError(
      'address_exhausted',
      `The probe needs two networks, and ${config.tenantCidr} has none left. Give this agent a larger range.`,
    );
  for (const { network } of [a, b])
    await ensureNetwork(deps, base, { kind: 'network.ensure', tenant: network.tenant, network }, signal);
  return { probe_a: a, probe_b: b };
}

export interface Inmate {
  name: string;
  command: readonly string[];
  user?: string;
  pids?: number;
}

/** A container as a tenant's would be, with the default profile and limits, that goes by itself when no probe can last any longer. */
export async function startInmate(
  deps: ExecuteDeps,
  room: Room,
  index: number,
  inmate: Inmate,
  signal: AbortSignal,
): Promise<string> {
  const { docker, config } = deps.system;
  const name = `${config.agent}-${room.network.tenant}-${inmate.name}`;
  const body = containerBody(config.agent, {
    name,
    tenant: room.network.tenant,
    app: 'probe',
    release: 1,
    generation: 1,
    service: inmate.name,
    replica: 1,
    role: 'colour',
    spec: specOf(inmate, imageName(config.agent)),
    specHash: 'probe',
    network: room.network.name,
    address: room.address(index),
    hosts: {},
  });
  const host = z.record(z.string(), z.unknown()).parse(body['HostConfig']);
  const made = { ...body, Labels: labelsOf(config.agent), HostConfig: { ...host, AutoRemove: true } };
  const id = await docker.createContainer(name, made, { signal });
  await docker.startContainer(id, { signal });
  return id;
}

/** The addresses of the machine beyond the host: it answers on 8080, TCP and UDP, at each of them. */
export interface BeyondAddresses {
  /** Of the host's end of the cable. */
  near: string;
  /** Two for documentation (RFC 5737), which nothing real has. */
  listed: string;
  unlisted: string;
  /** Out of the shared range (RFC 6598), which counts as private. */
  privately: string;
  linkLocal: string;
}

/** Agents that share a machine have different ones. */
export function beyondOf(agent: string): BeyondAddresses {
  const last = 4 * ([...agent].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) % 60, 7) + 1);
  return {
    near: `198.51.100.${last}`,
    listed: `198.51.100.${last + 1}`,
    unlisted: `203.0.113.${last}`,
    privately: `100.127.255.${last}`,
    linkLocal: `169.254.77.${last}`,
  };
}

/**
 * A machine beyond the host: a container without a network, and a cable to it. When the container goes, the cable and
 * the routes go with it. Resolves with its id.
 */
export async function startBeyond(deps: ExecuteDeps, signal: AbortSignal): Promise<string> {
  const { docker, config } = deps.system;
  const { near, ...far } = beyondOf(config.agent);
  const link = `bp${config.agent}`;
  const body = {
    Image: imageName(config.agent),
    Cmd: ['/probe/serve'],
    Labels: labelsOf(config.agent),
    HostConfig: {
      NetworkMode: 'none',
      AutoRemove: true,
      CapDrop: ['ALL'],
      CapAdd: ['NET_ADMIN'],
      ReadonlyRootfs: true,
      SecurityOpt: ['no-new-privileges:true'],
      Memory: 64 * 1024 * 1024,
      PidsLimit: 32,
    },
  };
  const id = await docker.createContainer(`${config.agent}-probe_beyond`, body, { signal });
  await docker.startContainer(id, { signal });
  const pid = (await docker.inspectContainer(id, { signal }))?.pid ?? 0;
  if (pid === 0)
    throw new BerthError('container_failed', 'The probe’s machine beyond the host did not start.');
  const here = (...args: string[]): Promise<string> => runChecked('ip', args, { signal });
  const there = async (...args: string[]): Promise<void> => {
    const { exitCode, output } = await docker.exec(id, ['ip', ...args], { signal });
    if (exitCode !== 0)
      throw new BerthError('container_failed', `The probe’s cable: ${output.slice(0, 200)}`);
  };
  await here('link', 'add', link, 'type', 'veth', 'peer', 'name', 'eth1', 'netns', String(pid));
  await here('addr', 'add', `${near}/32`, 'dev', link);
  await here('link', 'set', link, 'up');
  await there('link', 'set', 'eth1', 'up');
  for (const address of Object.values(far)) {
    await there('addr', 'add', `${address}/32`, 'dev', 'eth1');
    await here('route', 'add', `${address}/32`, 'dev', link, 'src', near);
  }
  await there('route', 'add', `${near}/32`, 'dev', 'eth1');
  return id;
}

/** Takes away whatever a probe of this agent left, also one that was killed; nothing that is not a probe's. */
export async function sweep(deps: ExecuteDeps, base: NetworkBase, signal: AbortSignal): Promise<void> {
  const { docker, config, networks } = deps.system;
  const listing = new Listing(`${PROBE_LABEL}=${config.agent}`, (entry) => entry.id);
  await Promise.all(
    (await docker.listContainers(listing, { signal })).map((id) => docker.removeContainer(id, { signal })),
  );
  await runCommand('ip', ['link', 'del', `bp${config.agent}`], { signal });
  const names = new Set<string>(PROBE_TENANTS);
  for (const found of await docker.listNetworks(`${AGENT_LABEL}=${config.agent}`, { signal })) {
    if (!names.has(found.labels[TENANT_LABEL] ?? '')) continue;
    // The network last: as long as it is there, the next sweep finds the rest as well.
    await base.forgetBridge(found.bridge);
    try {
      await docker.removeNetwork(found.id, { signal });
    } finally {
      networks.invalidate();
    }
  }
  await docker.removeImage(imageName(config.agent), { signal });
}

function labelsOf(agent: string): Record<string, string> {
  return { [PROBE_LABEL]: agent };
}

const MIB = 1024 * 1024;

function specOf(inmate: Inmate, image: string): ServiceSpec {
  return {
    name: inmate.name,
    image,
    pullPolicy: 'never',
    command: [...inmate.command],
    environment: {},
    ...(inmate.user === undefined ? {} : { user: inmate.user }),
    groupAdd: [],
    init: false,
    tty: false,
    stdinOpen: false,
    stopGraceMs: 0,
    volumes: [],
    tmpfs: [{ target: '/tmp', sizeBytes: 16 * MIB, mode: '1777' }],
    limits: { memoryBytes: 64 * MIB, cpus: 1, pids: inmate.pids ?? 256 },
    reservation: { memoryBytes: 64 * MIB, cpus: 0.1 },
    ulimits: {},
    sysctls: {},
    extraHosts: {},
    logging: { driver: 'none', options: {} },
    labels: {},
    dependsOn: [],
    replicas: 1,
    restart: 'no',
    strategy: 'blue-green',
    profile: 'restricted',
    drainMs: 0,
  };
}

function dotted(value: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256).join('.');
}
