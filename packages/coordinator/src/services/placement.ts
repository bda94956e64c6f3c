import { showSize } from '@berth/shared/compose/units';

/** What a tenant takes of a host. Bytes and whole CPUs (0.5 is half of one). */
export interface Need {
  memoryBytes: number;
  cpus: number;
  /** Memory that a second colour takes while the tenant moves to a new generation. */
  surgeBytes: number;
}

/** What placement looks at; nothing in it grows with the number of tenants. */
export interface PlacementHost {
  host: string;
  name: string;
  pool: string;
  scheduling: 'open' | 'cordoned';
  connection: 'online' | 'offline' | 'never-seen';
  memoryBytes: number;
  cpus: number;
  /** Sums over the tenants here. */
  reservedMemory: number;
  reservedCpus: number;
  /** The largest surge of any one tenant here. */
  largestSurge: number;
  /** How many tenants are here, those that are being removed too. */
  tenants: number;
  /** The tenant that keeps this host to itself. */
  dedicatedTo: string | null;
}

export interface HostNumbers {
  host: string;
  name: string;
  /** Why this host was passed over, as a clause: "has 1.2G of 4G free, 2G needed". */
  why: string;
  memoryBytes: number;
  freeMemoryBytes: number;
  cpus: number;
  freeCpus: number;
}

export type Placement =
  | { kind: 'placed'; host: string }
  | {
      kind: 'refused';
      code: 'no_host' | 'no_capacity' | 'host_offline';
      reason: string;
      numbers: HostNumbers[];
    };

/** The operating system, Docker, Nginx and the agent need their share too. */
export const SYSTEM_SHARE = 0.05;

/**
 * How many times a host's CPUs may be reserved. A CPU reservation is by default the container's limit, and tenants that
 * all run at their limit at once are rare; CPU is shared fairly when they do. Memory has no such give and no such factor.
 */
export const CPU_OVERCOMMIT = 10;

export interface Where {
  pool: string;
  /** Only this host. */
  host?: string | undefined;
  cpuOvercommit?: number | undefined;
  /** `dedicated`: only a host without any other tenant will do. */
  tenancy?: 'shared' | 'dedicated' | undefined;
}

/** Memory of a host that tenants may reserve, in bytes. */
export function usableMemory(memoryBytes: number): number {
  return Math.floor(memoryBytes * (1 - SYSTEM_SHARE));
}

/**
 * Chooses the host on which the fuller of memory and CPU stays lowest; equal ones by host id, so that the same input
 * always gives the same answer. A host is in question when it is open, connected and in the pool (or the one named).
 *
 * Memory is never promised twice: reservations plus the largest single surge of any tenant must fit, so that one
 * blue/green move always has room. Reserving double for all would leave half of every host idle; several moves at once
 * are checked by the agent, which waits for memory. CPU has no surge, and may be reserved CPU_OVERCOMMIT times over.
 */
export function place(hosts: readonly PlacementHost[], need: Need, where: Where): Placement {
  let best: PlacementHost | null = null;
  let bestShare = Number.POSITIVE_INFINITY;
  for (const host of hosts) {
    if (!eligible(host, where) || !fits(host, need, where)) continue;
    const share = shareWith(host, need, where);
    if (best === null || share < bestShare || (share === bestShare && host.host < best.host)) {
      best = host;
      bestShare = share;
    }
  }
  return best === null ? refusal(hosts, need, where) : { kind: 'placed', host: best.host };
}

function eligible(host: PlacementHost, where: Where): boolean {
  if (where.host === undefined ? host.pool !== where.pool : host.host !== where.host) return false;
  return usable(host, where);
}

function usable(host: PlacementHost, where: Where): boolean {
  return host.scheduling === 'open' && host.connection === 'online' && !isTaken(host, where);
}

/** A dedicated tenant shares with nobody: nobody comes to it, and it goes where nobody is. */
function isTaken(host: PlacementHost, where: Where): boolean {
  return host.dedicatedTo !== null || (where.tenancy === 'dedicated' && host.tenants > 0);
}

/** Sums of fractions of a CPU carry rounding errors far below this. */
const CPU_TOLERANCE = 1e-6;

function fits(host: PlacementHost, need: Need, where: Where): boolean {
  return (
    memoryWith(host, need) <= usableMemory(host.memoryBytes) &&
    host.reservedCpus + need.cpus <= usableCpus(host, where) + CPU_TOLERANCE
  );
}

function usableCpus(host: PlacementHost, where: Where): number {
  return host.cpus * (where.cpuOvercommit ?? CPU_OVERCOMMIT);
}

function memoryWith(host: PlacementHost, need: Need): number {
  return host.reservedMemory + need.memoryBytes + Math.max(host.largestSurge, need.surgeBytes);
}

function shareWith(host: PlacementHost, need: Need, where: Where): number {
  return Math.max(
    (host.reservedMemory + need.memoryBytes) / usableMemory(host.memoryBytes),
    (host.reservedCpus + need.cpus) / usableCpus(host, where),
  );
}

function refusal(hosts: readonly PlacementHost[], need: Need, where: Where): Placement {
  const asked = hosts.filter((host) =>
    where.host === undefined ? host.pool === where.pool : host.host === where.host,
  );
  const numbers = asked
    .map((host) => numbersOf(host, need, where))
    .sort((a, b) => (a.host < b.host ? -1 : 1));
  const place = `pool ${where.pool}`;
  if (asked.length === 0) {
    return {
      kind: 'refused',
      code: 'no_host',
      reason:
        where.host === undefined
          ? `Pool ${where.pool} has no host. Join one with a token from "berth host join-token".`
          : `There is no host ${where.host}; see "berth host list".`,
      numbers,
    };
  }
  const left = asked.filter((host) => usable(host, where));
  const list = numbers
    .slice(0, 10)
    .map((host) => `${host.name} ${host.why}`)
    .join('; ');
  const more = numbers.length > 10 ? `; and ${numbers.length - 10} more` : '';
  if (left.length === 0 && asked.some((host) => isTaken(host, where))) {
    const dedicated = where.tenancy === 'dedicated';
    return {
      kind: 'refused',
      code: 'no_host',
      reason:
        `${dedicated ? 'A dedicated tenant needs a host without any other tenant' : `No host of ${place} can take a tenant now`}: ` +
        `${list}${more}. Join a host with a token from "berth host join-token"${dedicated ? '' : ', or choose another pool'}.`,
      numbers,
    };
  }
  if (left.length === 0) {
    return {
      kind: 'refused',
      code: asked.every((host) => host.scheduling === 'open') ? 'host_offline' : 'no_host',
      reason:
        where.host === undefined
          ? `No host of ${place} can take a tenant now: ${list}${more}.`
          : `Host ${asked[0]?.name ?? where.host} can take no tenant now: it ${numbers[0]?.why ?? 'is gone'}.`,
      numbers,
    };
  }
  const none = where.host === undefined ? `no host of ${place} has` : 'the host does not have';
  const surge = need.surgeBytes === 0 ? '' : ` (and ${showSize(need.surgeBytes)} beside it for a new colour)`;
  return {
    kind: 'refused',
    code: 'no_capacity',
    reason: `The tenant needs ${showSize(need.memoryBytes)} of memory${surge} and ${showCpus(need.cpus)} CPUs, and ${none} that free: ${list}${more}. Add a host, remove tenants, or lower the app's reservations.`,
    numbers,
  };
}

function numbersOf(host: PlacementHost, need: Need, where: Where): HostNumbers {
  const usable = usableMemory(host.memoryBytes);
  const freeMemoryBytes = Math.max(
    0,
    usable - host.reservedMemory - Math.max(host.largestSurge, need.surgeBytes),
  );
  const cpus = usableCpus(host, where);
  const freeCpus = Math.max(0, Math.round((cpus - host.reservedCpus) * 1000) / 1000);
  return {
    host: host.host,
    name: host.name,
    why: whyNot(host, where, { memory: freeMemoryBytes, cpus: freeCpus }, { memory: usable, cpus }),
    memoryBytes: usable,
    freeMemoryBytes,
    cpus,
    freeCpus,
  };
}

interface Amount {
  memory: number;
  cpus: number;
}

function whyNot(host: PlacementHost, where: Where, free: Amount, all: Amount): string {
  if (host.scheduling === 'cordoned') return 'is cordoned';
  if (host.connection === 'never-seen') return 'has never connected';
  if (host.connection === 'offline') return 'is offline';
  if (host.dedicatedTo !== null) return 'is dedicated to one tenant';
  if (isTaken(host, where)) return `carries ${host.tenants} tenant${host.tenants === 1 ? '' : 's'}`;
  return `has ${showSize(free.memory)} of ${showSize(all.memory)} memory and ${showCpus(free.cpus)} of ${showCpus(all.cpus)} CPU reservations free`;
}

function showCpus(cpus: number): string {
  return String(Math.round(cpus * 100) / 100);
}
