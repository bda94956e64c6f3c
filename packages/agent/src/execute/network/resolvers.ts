import { readIfThere } from '../../system/durable-file.ts';
import { contains, parseAddress } from '../../system/cidr.ts';
import type { NetworkRanges } from './static-table.ts';

/** Where Amazon's name server can be asked besides the VPC's own; the only link-local address that tenants may use. */
const LINK_LOCAL_RESOLVER = '169.254.169.253';

/**
 * The name servers that Docker's own resolver asks for the containers, out of the tenant's network: those of the host.
 * What is on the host itself (127.0.0.53) is asked by the daemon and needs no rule.
 */
export async function readResolvers(config: NetworkRanges): Promise<string[]> {
  // With systemd's stub Docker reads the file behind it, and so do we.
  const stub = (await readIfThere('/etc/resolv.conf')) ?? '';
  const text = /^\s*nameserver\s+127\.0\.0\.53\s*$/m.test(stub)
    ? ((await readIfThere('/run/systemd/resolve/resolv.conf')) ?? '')
    : stub;
  return resolversIn(text, config);
}

/** The usable IPv4 name servers of a resolv.conf, sorted. */
export function resolversIn(text: string, { virtualCidr, tenantCidr }: NetworkRanges): string[] {
  const found = new Set<string>();
  for (const match of text.matchAll(/^\s*nameserver\s+(\S+)\s*$/gm)) {
    const address = match[1] ?? '';
    if (parseAddress(address) === null) continue;
    const refused = ['127.0.0.0/8', '0.0.0.0/8', '224.0.0.0/3', virtualCidr, tenantCidr];
    if (refused.some((range) => contains(range, address))) continue;
    if (contains('169.254.0.0/16', address) && address !== LINK_LOCAL_RESOLVER) continue;
    found.add(address);
  }
  return [...found].sort();
}
