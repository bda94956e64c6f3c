import { readdir, readFile } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';
import type { HostConfig } from '../../system/config.ts';
import { isLocal } from './bytes.ts';

/** What of this host a tenant must not reach. */
export interface HostTargets {
  addresses: readonly string[];
  ipv6: readonly string[];
  tcp: readonly number[];
  udp: readonly number[];
  /** The id of some process of the host. */
  pid: number;
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
): Promise<HostTargets> {
  const own = Object.entries(networkInterfaces()).flatMap(([name, addresses]) =>
    (addresses ?? []).map((each) => ({ name, address: each.address })),
  );
  // The host's own interfaces before the bridges of tenants, of which there may be a thousand.
  const inOrder = own
    .filter((each) => !isLocal(each.address))
    .sort((a, b) => rank(config, a.name) - rank(config, b.name));
  const addresses = [gateway, ...inOrder.map((each) => each.address).filter((each) => !each.includes(':'))];
  const [tcp, udp] = await Promise.all([listening('tcp', '0A'), listening('udp', '07')]);
  const nginx = [config.nginx.httpPort, config.nginx.internalPort];
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  return {
    addresses: [...new Set(addresses)].slice(0, MOST_ADDRESSES),
    ipv6: inOrder
      .map((each) => each.address)
      .filter((each) => each.includes(':'))
      .slice(0, 2),
    tcp: [...new Set([bait.tcp, ...ALWAYS, ...nginx, ...tcp])].slice(0, MOST_PORTS),
    udp: [...new Set([bait.udp, 53, ...udp])].slice(0, 8),
    pid: Math.max(1, ...pids),
  };
}

function rank(config: HostConfig, name: string): number {
  if (name.startsWith(config.bridgePrefix)) return 2;
  return /^(veth|br-)/.test(name) ? 1 : 0;
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
