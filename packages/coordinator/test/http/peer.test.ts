import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { peerOf } from '../../src/http/peer.ts';
import { addressesIn, HttpSettings } from '../../src/http/settings.ts';

const trusted = addressesIn(['10.0.0.0/8', 'fd00::/8', '192.0.2.1']);
const addressOf = (socket: string | undefined, list?: string): string =>
  peerOf(socket, { for: list, proto: undefined }, trusted).address;

describe('the address of a caller', () => {
  test('is the socket’s, whatever a stranger writes in X-Forwarded-For', () => {
    fc.assert(
      fc.property(
        fc.ipV4().filter((ip) => !trusted.has(ip)),
        fc.string(),
        (socket, list) => {
          expect(addressOf(socket, list)).toBe(socket);
        },
      ),
    );
  });

  test('is the last one before the trusted proxies, so what a caller wrote before it counts for nothing', () => {
    const stranger = fc.ipV4().filter((ip) => !trusted.has(ip));
    fc.assert(
      fc.property(
        fc.string(),
        stranger,
        fc.array(fc.constantFrom('10.1.2.3', '192.0.2.1')),
        (lie, caller, hops) => {
          expect(addressOf('10.9.9.9', [lie, caller, ...hops].join(', '))).toBe(caller);
        },
      ),
    );
  });

  test('is the proxy’s own where it says nothing that is an address', () => {
    for (const list of [undefined, '', 'unknown', 'x, y', '203.0.113.1, evil'])
      expect(addressOf('10.0.0.1', list)).toBe('10.0.0.1');
    expect(addressOf(undefined)).toBe('unknown');
  });

  test('is one for IPv4 in IPv6’s clothes, and for the whole /64 of IPv6', () => {
    expect(addressOf('::ffff:203.0.113.9')).toBe('203.0.113.9');
    expect(addressOf('::ffff:10.0.0.1', '203.0.113.9')).toBe('203.0.113.9');
    expect(addressOf('2001:DB8::1')).toBe(addressOf('2001:0db8:0:0:ffff::'));
    expect(addressOf('2001:db8::1')).not.toBe(addressOf('2001:db8:0:1::1'));
    expect(addressOf('fe80::1%eth0')).toBe('fe80:0:0:0::/64');
  });

  test('and the way it came are taken from the proxy that is next to us', () => {
    const over = (proto: string | undefined, socket = '10.0.0.1') =>
      peerOf(socket, { for: '203.0.113.1', proto }, trusted).over;
    expect(over('https')).toBe('tls');
    expect(over('https, http')).toBe('plain');
    expect(over(undefined)).toBe('plain');
    expect(over('https', '203.0.113.1')).toBe('plain');
  });
});

test('settings name what is no range and no origin', () => {
  for (const proxy of ['10.0.0.0/33', 'proxy.example.com', '10.0.0.0/8/8', '::/129', ''])
    expect(HttpSettings.safeParse({ trustedProxies: [proxy] }).success, proxy).toBe(false);
  for (const origin of ['*', 'null', 'berth.example.com', 'https://a.example.com/', 'https://A.example.com'])
    expect(HttpSettings.safeParse({ origins: [origin] }).success, origin).toBe(false);
});
