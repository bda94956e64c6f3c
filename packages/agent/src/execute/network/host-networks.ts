import { BerthError } from '@berth/shared/domain/errors';
import { z } from 'zod';
import { overlaps } from '../../system/cidr.ts';
import { runChecked } from '../../system/command.ts';
import type { NetworkRanges } from './static-table.ts';

const Addresses = z.array(
  z.object({
    ifname: z.string().optional(),
    addr_info: z
      .array(z.object({ family: z.string(), local: z.string().optional(), prefixlen: z.number().optional() }))
      .optional(),
  }),
);
const Routes = z.array(
  z.object({ type: z.string().optional(), dst: z.string(), dev: z.string().optional() }),
);

export interface HostNetwork {
  /** CIDR, or a single address. */
  range: string;
  dev: string;
  /** Kind of route, or `address`. */
  kind: string;
}

/** The host's IPv4 addresses and routes. */
export async function readHostNetworks(signal?: AbortSignal): Promise<HostNetwork[]> {
  const found: HostNetwork[] = [];
  for (const link of Addresses.parse(await ipJson(['-j', '-4', 'addr', 'show'], signal)))
    for (const { local, prefixlen = 32 } of link.addr_info ?? [])
      if (local !== undefined)
        found.push({ range: rangeOf(local, prefixlen), dev: link.ifname ?? '', kind: 'address' });
  for (const route of Routes.parse(await ipJson(['-j', '-4', 'route', 'show', 'table', 'all'], signal)))
    if (route.dst !== 'default')
      found.push({
        range: route.dst.includes('/') ? route.dst : `${route.dst}/32`,
        dev: route.dev ?? '',
        kind: route.type ?? 'unicast',
      });
  return found;
}

/** Throws `conflict` when a range of ours is already someone else's on this host. */
export function assertNoOverlap(config: NetworkRanges, networks: readonly HostNetwork[]): void {
  for (const [setting, range] of [
    ['virtualCidr', config.virtualCidr],
    ['tenantCidr', config.tenantCidr],
  ] as const) {
    const other = networks.find((network) => overlaps(network.range, range) && !isOurs(config, network));
    if (other === undefined) continue;
    throw new BerthError(
      'conflict',
      `The range ${range} (${setting}) overlaps ${other.range} (${other.kind}${other.dev === '' ? '' : ` on ${other.dev}`}) of this host. Choose a range that nothing else uses, such as a part of 198.18.0.0/15.`,
      { details: { setting, range, other: other.range, dev: other.dev } },
    );
  }
}

function isOurs(config: NetworkRanges, network: HostNetwork): boolean {
  if (network.dev.startsWith(config.bridgePrefix)) return true;
  if (network.kind === 'local' && network.dev === 'lo') return network.range === config.virtualCidr;
  return network.kind === 'unreachable' && network.range === config.tenantCidr;
}

function rangeOf(address: string, prefix: number): string {
  const parts = address.split('.').map(Number);
  const value = parts.reduce((sum, part) => sum * 256 + part, 0);
  const size = 2 ** (32 - prefix);
  const base = Math.floor(value / size) * size;
  const bytes = [24, 16, 8, 0].map((shift) => Math.floor(base / 2 ** shift) % 256);
  return `${bytes.join('.')}/${prefix}`;
}

async function ipJson(args: readonly string[], signal: AbortSignal | undefined): Promise<unknown> {
  const text = await runChecked('ip', args, { signal });
  const parsed: unknown = JSON.parse(text.trim() === '' ? '[]' : text);
  return parsed;
}
