export interface Cidr {
  /** First address as an unsigned 32-bit number. */
  base: number;
  prefix: number;
}

/** An IPv4 address as an unsigned number, or null. */
export function parseAddress(text: string): number | null {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text);
  if (match === null) return null;
  let value = 0;
  for (const part of match.slice(1)) {
    const byte = Number(part);
    if (byte > 255) return null;
    value = value * 256 + byte;
  }
  return value;
}

/** An IPv4 range in strict form (no bits behind the prefix), or null. */
export function parseCidr(text: string): Cidr | null {
  const [address, prefixText, ...rest] = text.split('/');
  if (address === undefined || prefixText === undefined || rest.length > 0) return null;
  if (!/^\d{1,2}$/.test(prefixText)) return null;
  const base = parseAddress(address);
  const prefix = Number(prefixText);
  if (base === null || prefix > 32 || base % 2 ** (32 - prefix) !== 0) return null;
  return { base, prefix };
}

/** Whether two ranges share an address. Text that is no IPv4 range overlaps nothing. */
export function overlaps(a: string, b: string): boolean {
  const left = parseCidr(a);
  const right = parseCidr(b);
  if (left === null || right === null) return false;
  const size = 2 ** (32 - Math.min(left.prefix, right.prefix));
  return Math.floor(left.base / size) === Math.floor(right.base / size);
}

/** Whether an address lies in a range. */
export function contains(cidr: string, address: string): boolean {
  return overlaps(cidr, `${address}/32`);
}
