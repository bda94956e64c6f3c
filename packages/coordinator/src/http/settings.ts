import { BlockList, isIP } from 'node:net';
import { z } from 'zod';

/** An address, or a range such as 10.0.0.0/8. */
const Range = z.string().refine((text) => rangeOf(text) !== null, {
  error: 'must be an IP address or a range such as 10.0.0.0/8',
});

const whole = (least: number, most: number) => z.coerce.number().int().min(least).max(most);

/** How the coordinator meets whoever speaks HTTP to it. Times are milliseconds, counts are by the minute. */
export const HttpSettings = z.strictObject({
  /** Proxies whose X-Forwarded-For and X-Forwarded-Proto are believed. Of all others the socket counts. */
  trustedProxies: z.array(Range).max(100).default([]),
  /** Web pages that may change something or open a WebSocket, such as https://berth.example.com. */
  origins: z
    .array(
      z
        .string()
        .refine((text) => /^https?:\/\//.test(text) && URL.canParse(text) && new URL(text).origin === text, {
          error: 'must be an origin: scheme, host and port, in lower case and without a slash at the end',
        }),
    )
    .max(20)
    .default([]),
  /** `token`: /metrics asks for a viewer's token without a scope; `open`: whoever reaches it may read it. */
  metrics: z.enum(['token', 'open']).default('token'),
  limits: z
    .strictObject({
      /** Requests with one token. */
      perToken: whole(1, 10_000_000).default(30_000),
      /** Requests from one address, whoever they come as. */
      perAddress: whole(1, 10_000_000).default(60_000),
      /** Refused tokens, join tokens and identity tokens from one address. */
      failures: whole(1, 10_000_000).default(30),
      /** Connections at one time from one address on which nobody has shown a good token yet; not a minute's. */
      connections: whole(1, 1_000_000).default(256),
    })
    .prefault({}),
  /** From the first byte of a request until all its headers are there. */
  headersTimeoutMs: whole(100, 600_000).default(10_000),
  /** Until its body is there, too. */
  requestTimeoutMs: whole(100, 600_000).default(30_000),
});
export type HttpSettings = z.infer<typeof HttpSettings>;

/** The addresses that a list of ranges covers. */
export function addressesIn(ranges: readonly string[]): { has(address: string): boolean } {
  const list = new BlockList();
  for (const text of ranges) {
    const range = rangeOf(text);
    if (range !== null) list.addSubnet(range.address, range.bits, range.family);
  }
  return { has: (address) => list.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4') };
}

function rangeOf(text: string): { address: string; bits: number; family: 'ipv4' | 'ipv6' } | null {
  const [address = '', given, ...more] = text.split('/');
  const version = isIP(address);
  if (version === 0 || more.length > 0) return null;
  const most = version === 4 ? 32 : 128;
  const bits = given === undefined ? most : /^\d{1,3}$/.test(given) ? Number(given) : Number.NaN;
  return bits <= most ? { address, bits, family: version === 4 ? 'ipv4' : 'ipv6' } : null;
}
