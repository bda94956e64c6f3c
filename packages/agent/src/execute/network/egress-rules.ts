import { createHash } from 'node:crypto';
import { egressFrom, egressText, widest, type Egress } from '@berth/shared/domain/egress';

/** The map from a bridge to the chain of its policy. A bridge that is not in it has the default: everywhere. */
export const EGRESS_MAP = 'egress';
/** The host's name servers. */
export const RESOLVERS_SET = 'resolvers';

const PRIVATE = ['10.0.0.0/8', '100.64.0.0/10', '172.16.0.0/12', '192.168.0.0/16'];
const REJECT = 'reject with icmpx admin-prohibited';
const NAMES = `ip daddr @${RESOLVERS_SET} meta l4proto { tcp, udp } th dport 53 return`;

/** Bridges with the same list share a chain. */
export function chainOf(egress: Egress): string {
  if (typeof egress === 'string') return `egress_${egress}`;
  return `egress_${createHash('sha256').update(egressText(egress)).digest('hex').slice(0, 16)}`;
}

/**
 * The chains of these policies. They only refuse: what they let pass still comes to the rules that hold for all, which
 * keep the metadata service, the host and other tenants out of every list.
 */
export function egressChains(table: string, policies: Iterable<Egress>): string[] {
  const lines: string[] = [];
  const made = new Set<string>();
  for (const egress of policies) {
    const chain = chainOf(egress);
    if (made.has(chain)) continue;
    made.add(chain);
    lines.push(`add chain inet ${table} ${chain}`, `flush chain inet ${table} ${chain}`);
    for (const rule of rulesOf(egress)) lines.push(`add rule inet ${table} ${chain} ${rule}`);
  }
  return lines;
}

function rulesOf(egress: Egress): string[] {
  if (typeof egress !== 'string') {
    return [NAMES, `ip daddr { ${widest(egress).join(', ')} } return`, REJECT];
  }
  switch (egress) {
    case 'internet':
      return [];
    case 'public':
      return [NAMES, `ip daddr { ${PRIVATE.join(', ')} } ${REJECT}`];
    case 'none':
      return [REJECT];
  }
}

/** The file is the memory of the policies while nobody else answers: one comment line each. */
export function egressNotes(policies: ReadonlyMap<string, Egress>): string[] {
  return [...policies]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([bridge, egress]) => `# egress ${bridge} ${egressText(egress)}`);
}

/** Reads {@link egressNotes}; lines of another form are left out. */
export function egressIn(text: string, bridgePrefix: string): Map<string, Egress> {
  const found = new Map<string, Egress>();
  for (const match of text.matchAll(/^# egress ([a-zA-Z0-9_.-]{1,15}) ([a-z0-9./,]+)$/gm)) {
    const [, bridge = '', words = ''] = match;
    const egress = egressFrom(words);
    if (bridge.startsWith(bridgePrefix) && egress !== null) found.set(bridge, egress);
  }
  return found;
}
