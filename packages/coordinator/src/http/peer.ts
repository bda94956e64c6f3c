import { isIP } from 'node:net';

export interface Peer {
  /** Whose requests are counted together: an IPv4 address, or the /64 that somebody with IPv6 has all of. */
  address: string;
  /** Whether they came over TLS, as a trusted proxy says. */
  over: 'tls' | 'plain';
}

/**
 * Who sends a request. A proxy that is trusted says whom it speaks for: the last address in X-Forwarded-For that is not
 * such a proxy's own. What anybody else writes there counts for nothing.
 */
export function peerOf(
  socketAddress: string | undefined,
  forwarded: { for: string | undefined; proto: string | undefined },
  trusted: { has(address: string): boolean },
): Peer {
  let address = plain(socketAddress ?? '');
  if (!trusted.has(address)) return { address: keyOf(address), over: 'plain' };
  const hops = (forwarded.for ?? '').split(',');
  while (trusted.has(address)) {
    const before = plain((hops.pop() ?? '').trim());
    if (isIP(before) === 0) break;
    address = before;
  }
  const [protocol = ''] = (forwarded.proto ?? '').split(',').slice(-1);
  return { address: keyOf(address), over: protocol.trim().toLowerCase() === 'https' ? 'tls' : 'plain' };
}

/** An IPv4 address that came in IPv6's clothes is the same one. */
function plain(address: string): string {
  return /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1] ?? address.replace(/%.*$/, '');
}

function keyOf(address: string): string {
  if (isIP(address) !== 6) return address === '' ? 'unknown' : address;
  const [head = '', tail = ''] = address.split('::');
  const left = head === '' ? [] : head.split(':');
  const right = tail === '' ? [] : tail.split(':');
  const zeros = address.includes('::') ? Math.max(0, 8 - left.length - right.length) : 0;
  const groups = [...left, ...Array.from({ length: zeros }, () => '0'), ...right];
  return `${groups
    .slice(0, 4)
    .map((group) => group.replace(/^0+(?=.)/, '').toLowerCase())
    .join(':')}::/64`;
}
