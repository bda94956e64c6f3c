import { readdir, readFile } from 'node:fs/promises';
import type { HostConfig } from '../../system/config.ts';
import type { HostAddress } from './addresses.ts';
import { isLocal } from './bytes.ts';

/** What of this host a tenant must not reach. */
export interface HostTargets {
  addresses: readonly HostTarget[];
  ipv6: readonly HostTarget[];
  tcp: readonly number[];
  udp: readonly number[];
  /** The id of some process of the host. */
  pid: number;
}

export interface HostTarget {
  address: string;
  /** Whether somebody else may take it off the host at any time, such as a network of another Docker user. */
  stays: 'certain' | 'passing';
}

const MOST_ADDRESSES = 8;
const MOST_PORTS = 32;
/** ssh, DNS, Nginx, Docker, the coordinator: asked whether or not anything listens. */
const ALWAYS = [22, 53, 80, 443, 2375, 2376, 7420];

/** The host's addresses, and the ports on which something listens. `gateway`: the asking tenant's own, always among them. */
export async function hostTargets(
  config: HostConfig,
  gateway: string,
  bait: { tcp: number; udp: number },
  addresses: readonly HostAddress[],
): Promise<HostTargets> {
  const [tcp, udp] = await Promise.all([listening('tcp', '0A'), listening('udp', '07')]);
  const nginx = [config.nginx.httpPort, config.nginx.internalPort];
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  return {
    ...addressTargets(config, gateway, addresses),
    tcp: [...new Set([bait.tcp, ...ALWAYS, ...nginx, ...tcp])].slice(0, MOST_PORTS),
    udp: [...new Set([bait.udp, 53, ...udp])].slice(0, 8),
    pid: Math.max(1, ...pids),
  };
}

/** The asking tenant's gateway, then the addresses that are likeliest to stay: the host's own devices, older links first. */
export function addressTargets(
  config: Pick<HostConfig, 'bridgePrefix'>,
  gateway: string,
  addresses: readonly HostAddress[],
): Pick<HostTargets, 'addresses' | 'ipv6'> {
  const rank = ({ link, kind }: HostAddress): number =>
    link.startsWith(config.bridgePrefix) ? 2 : kind === 'made' ? 1 : 0;
  const targets = addresses
    .filter(({ address }) => !isLocal(address) && address !== gateway)
    .toSorted((a, b) => rank(a) - rank(b) || a.index - b.index)
    .map((each): HostTarget => ({
      address: each.address,
      stays: rank(each) === 0 ? 'certain' : 'passing',
    }));
  const own: HostTarget = { address: gateway, stays: 'certain' };
  const v4 = targets.filter(({ address }) => !address.includes(':'));
  const v6 = targets.filter(({ address }) => address.includes(':'));
  return { addresses: [own, ...v4].slice(0, MOST_ADDRESSES), ipv6: v6.slice(0, 2) };
}

/** What was there at both looks, on the same link: what has just come may as soon be gone. */
export function lasting(earlier: readonly HostAddress[], now: readonly HostAddress[]): HostAddress[] {
  const known = new Set(earlier.map(({ address, index }) => `${address} ${index}`));
  return now.filter(({ address, index }) => known.has(`${address} ${index}`));
}

async function listening(kind: 'tcp' | 'udp', state: string): Promise<number[]> {
  const tables = await Promise.all(
    [`/proc/net/${kind}`, `/proc/net/${kind}6`].map((path) => readFile(path, 'utf8').catch(() => '')),
  );
  const ports = new Set<number>();
  for (const line of tables.join('\n').split('\n')) {
    const [, local = '', , its] = line.trim().split(/\s+/);
    const port = /:([0-9A-F]{4})$/.exec(local)?.[1];
    if (its === state && port !== undefined) ports.add(parseInt(port, 16));
  }
  return [...ports].sort((a, b) => a - b);
}
