import type { Egress } from '@berth/shared/domain/egress';
import type { HostConfig } from '../../system/config.ts';
import { tableName } from '../../system/names.ts';
import { mapDeclarations, ROUTES_MAP, SLOTS, SPREAD_MAP } from '../../system/nft-routes.ts';
import { chainOf, EGRESS_MAP, egressChains, egressNotes, RESOLVERS_SET } from './egress-rules.ts';

export type NetworkRanges = Pick<HostConfig, 'agent' | 'virtualCidr' | 'tenantCidr' | 'bridgePrefix'>;

/** The set of bridges whose own members may talk to each other, as (in, out) pairs. */
export const PAIRS_SET = 'pairs';

/** What of the static part differs from host to host and from time to time. */
export interface StaticContents {
  /** All tenant bridges, sorted. */
  bridges: readonly string[];
  /** Of the bridges that do not have the default. */
  egress: ReadonlyMap<string, Egress>;
  /** The host's name servers, sorted. */
  resolvers: readonly string[];
}

/**
 * The static part of the agent's table: how virtual addresses lead to containers, and what tenants cannot reach. Loading
 * it again replaces the rules and the bridges in one transaction and leaves the routes alone.
 */
export function staticFile(config: NetworkRanges, { bridges, egress, resolvers }: StaticContents): string {
  const table = tableName(config.agent);
  const tenants = `"${config.bridgePrefix}*"`;
  const { virtualCidr, tenantCidr } = config;
  const chain = (name: string, type: string, hook: string, priority: number): string =>
    `add chain inet ${table} ${name} { type ${type} hook ${hook} priority ${priority}; policy accept; }`;
  const rule = (name: string, text: string): string => `add rule inet ${table} ${name} ${text}`;
  const policies = [...egress].sort(([a], [b]) => (a < b ? -1 : 1));
  return (
    mapDeclarations(table) +
    [
      ...egressNotes(egress),
      `add set inet ${table} ${PAIRS_SET} { type ifname . ifname; }`,
      `add set inet ${table} ${RESOLVERS_SET} { type ipv4_addr; }`,
      `add map inet ${table} ${EGRESS_MAP} { type ifname : verdict; }`,
      chain('output', 'nat', 'output', -110),
      chain('postrouting', 'nat', 'postrouting', 95),
      chain('input', 'filter', 'input', -10),
      chain('forward', 'filter', 'forward', -10),
      `flush table inet ${table}`,
      `flush set inet ${table} ${PAIRS_SET}`,
      `flush set inet ${table} ${RESOLVERS_SET}`,
      `flush map inet ${table} ${EGRESS_MAP}`,
      ...(bridges.length === 0 ? [] : [addPairs(table, bridges)]),
      ...(resolvers.length === 0
        ? []
        : [`add element inet ${table} ${RESOLVERS_SET} { ${resolvers.join(', ')} }`]),
      ...egressChains(
        table,
        policies.map(([, policy]) => policy),
      ),
      ...policies.map(
        ([bridge, policy]) =>
          `add element inet ${table} ${EGRESS_MAP} { "${bridge}" : jump ${chainOf(policy)} }`,
      ),

      // Nginx connects to a virtual address; the kernel picks the container, once per connection.
      rule('output', `ip daddr ${virtualCidr} tcp dport 80 dnat ip to ip daddr map @${ROUTES_MAP}`),
      rule(
        'output',
        `ip daddr ${virtualCidr} tcp dport 80 dnat ip to ip daddr . numgen random mod ${SLOTS} map @${SPREAD_MAP}`,
      ),

      // Egress; Docker has the same, but it is gone after a flush until the daemon is restarted.
      rule('postrouting', `ip saddr ${tenantCidr} oifname != ${tenants} masquerade`),

      // The host: it may talk to tenants, they may only answer.
      rule('input', `iifname ${tenants} ct state established,related accept`),
      rule('input', `iifname ${tenants} reject with icmpx admin-prohibited`),
      // A virtual address that leads nowhere refuses at once, so that no service of the host answers by accident.
      rule('input', `ip daddr ${virtualCidr} iifname != "lo" drop`),
      rule('input', `ip daddr ${virtualCidr} ct state established,related accept`),
      rule('input', `ip daddr ${virtualCidr} meta l4proto tcp reject with tcp reset`),
      rule('input', `ip daddr ${virtualCidr} drop`),

      // Inside one bridge all is allowed (with br_netfilter that passes here too); between bridges nothing is.
      rule('forward', `iifname . oifname @${PAIRS_SET} accept`),
      rule('forward', `iifname ${tenants} meta nfproto ipv4 ip saddr != ${tenantCidr} drop`),
      // Tenant networks have no IPv6; should a container give itself an address, it leads nowhere.
      rule('forward', `iifname ${tenants} meta nfproto ipv6 reject with icmpx admin-prohibited`),
      // What the tenant's own policy refuses; connections that are open already end with it.
      rule('forward', `iifname vmap @${EGRESS_MAP}`),
      rule(
        'forward',
        `iifname ${tenants} ip daddr @${RESOLVERS_SET} meta l4proto { tcp, udp } th dport 53 accept`,
      ),
      rule(
        'forward',
        `iifname ${tenants} ip daddr { 169.254.0.0/16, ${virtualCidr}, ${tenantCidr} } reject with icmpx admin-prohibited`,
      ),
      rule('forward', `oifname ${tenants} ct state established,related accept`),
      rule('forward', `oifname ${tenants} drop`),
    ].join('\n') +
    '\n'
  );
}

/** What the kernel tells of the elements of such a file, as `nft -j` writes them, sorted. */
export function elementsOf({
  bridges,
  egress,
  resolvers,
}: StaticContents): Record<string, readonly string[]> {
  const sorted = (elements: readonly unknown[]): string[] =>
    elements.map((each) => JSON.stringify(each)).sort();
  return {
    [PAIRS_SET]: sorted(bridges.map((name) => ({ concat: [name, name] }))),
    [RESOLVERS_SET]: sorted(resolvers),
    [EGRESS_MAP]: sorted(
      [...egress].map(([bridge, policy]) => [bridge, { jump: { target: chainOf(policy) } }]),
    ),
  };
}

export function addPairs(table: string, bridges: readonly string[]): string {
  return `add element inet ${table} ${PAIRS_SET} { ${bridges.map((name) => `"${name}" . "${name}"`).join(', ')} }`;
}

/** Add first, so that taking away what is not there is no error. */
export function removePairs(table: string, bridges: readonly string[]): string {
  const add = addPairs(table, bridges);
  return `${add}\n${add.replace(/^add/, 'delete')}\n`;
}

/** The bridges that a static file allows; the file is the memory of them when Docker is down. */
export function bridgesIn(text: string, bridgePrefix: string): string[] {
  const found = new Set<string>();
  for (const match of text.matchAll(/"([a-zA-Z0-9_.-]{1,15})" \. "([a-zA-Z0-9_.-]{1,15})"/g)) {
    const [, name, again] = match;
    if (name !== undefined && name === again && name.startsWith(bridgePrefix)) found.add(name);
  }
  return [...found].sort();
}

/** For `ip -batch`: virtual addresses are the host's own, and tenants' addresses never leave it. */
export function ipBatchFile(config: NetworkRanges): string {
  return (
    `route replace local ${config.virtualCidr} dev lo\n` +
    `route replace unreachable ${config.tenantCidr} metric 4096\n`
  );
}
