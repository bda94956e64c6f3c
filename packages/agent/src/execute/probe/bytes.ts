import { BlockList, isIPv6 } from 'node:net';

/** What the kernel takes, byte by byte. */

export function text(value: string): Buffer {
  return Buffer.from(`${value}\0`, 'utf8');
}

/** A `sockaddr_in` or `sockaddr_in6`. */
export function socketAddress(address: string, port: number): Buffer {
  if (isIPv6(address)) {
    const buffer = Buffer.alloc(28);
    buffer.writeUInt16LE(10, 0);
    buffer.writeUInt16BE(port, 2);
    Buffer.from(ipv6(address)).copy(buffer, 8);
    return buffer;
  }
  const buffer = Buffer.alloc(16);
  buffer.writeUInt16LE(2, 0);
  buffer.writeUInt16BE(port, 2);
  Buffer.from(address.split('.').map(Number)).copy(buffer, 4);
  return buffer;
}

function ipv6(address: string): number[] {
  const [head = '', tail] = address.split('::');
  const groups = (part: string | undefined): number[] =>
    part === undefined || part === '' ? [] : part.split(':').map((group) => Number.parseInt(group, 16));
  const [first, last] = [groups(head), groups(tail)];
  const gap = tail === undefined ? [] : Array<number>(8 - first.length - last.length).fill(0);
  return [...first, ...gap, ...last].flatMap((group) => [group >> 8, group & 255]);
}

/** A `timeval`: seconds and microseconds. */
export function timeval(ms: number): Buffer {
  return pair(Math.floor(ms / 1000), (ms % 1000) * 1000);
}

/** A `timespec`: seconds and nanoseconds. */
export function timespec(ms: number): Buffer {
  return pair(Math.floor(ms / 1000), (ms % 1000) * 1_000_000);
}

function pair(first: number, second: number): Buffer {
  const buffer = Buffer.alloc(16);
  buffer.writeBigInt64LE(BigInt(first), 0);
  buffer.writeBigInt64LE(BigInt(second), 8);
  return buffer;
}

/** A question for an address, as DNS has it. */
export function dnsQuery(name: string): Buffer {
  const labels = name.split('.').flatMap((label) => [label.length, ...Buffer.from(label)]);
  return Buffer.from([0xbe, 0x47, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, ...labels, 0, 0, 1, 0, 1]);
}

const LOCAL = new BlockList();
LOCAL.addSubnet('127.0.0.0', 8, 'ipv4');
LOCAL.addAddress('::1', 'ipv6');
LOCAL.addSubnet('fe80::', 10, 'ipv6');

/** Addresses that mean the asker himself, or need an interface to mean anything. */
export function isLocal(address: string): boolean {
  return LOCAL.check(address, isIPv6(address) ? 'ipv6' : 'ipv4');
}
