import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  chooseSlices,
  foreignUses,
  isFree,
  overlap,
  parseRange,
  slicesAt,
  usesOf,
} from '../src/local/ranges.ts';

const routes = [
  { dst: 'default', gateway: '10.0.0.1', dev: 'eth0' },
  { dst: '10.0.0.0/24', dev: 'eth0' },
  { type: 'local', dst: '198.18.0.0/20', dev: 'lo', table: 'local' },
  { type: 'unreachable', dst: '198.19.0.0/20' },
  { dst: '198.19.16.0/26', dev: 'btabc-1' },
  { dst: 'fe80::/64', dev: 'eth0' },
];
const links = [
  {
    ifname: 'eth1',
    addr_info: [
      { local: '198.18.47.200', prefixlen: 24 },
      { local: 'fe80::1', prefixlen: 64 },
    ],
  },
];

test('ranges are read with their host bits cleared, and what is not IPv4 is none', () => {
  expect(parseRange('198.18.47.200/24')).toMatchObject({ first: 0xc6122f00, last: 0xc6122fff });
  expect(parseRange('10.0.0.1')).toMatchObject({ first: 0x0a000001, last: 0x0a000001 });
  for (const bad of ['default', 'fe80::/64', '300.1.1.1', '1.2.3.4/33', ''])
    expect(parseRange(bad)).toBeUndefined();
});

test('slices that routes, interfaces or networks use are passed over', () => {
  const uses = usesOf(routes, links);
  expect(uses).toHaveLength(5);
  // 0: another instance's; 1: a tenant network of the third; 2: an interface.
  expect(chooseSlices(uses, 0)).toEqual(slicesAt(3));
  expect(chooseSlices(uses, 15)).toEqual(slicesAt(15));
});

test('whatever is in use, chosen slices overlap none of it', () => {
  const cidr = fc
    .tuple(fc.constantFrom(18, 19), fc.integer({ min: 0, max: 255 }), fc.integer({ min: 16, max: 32 }))
    .map(([second, third, prefix]) => `198.${second}.${third}.0/${prefix}`);
  fc.assert(
    fc.property(fc.array(cidr, { maxLength: 12 }), fc.integer({ min: 0, max: 15 }), (taken, start) => {
      const uses = usesOf(
        taken.map((dst) => ({ dst })),
        [],
      );
      const chosen = chooseSlices(uses, start);
      if (chosen === undefined) {
        for (let i = 0; i < 16; i += 1) {
          const { virtualCidr, tenantCidr } = slicesAt(i);
          expect(isFree(virtualCidr, uses) && isFree(tenantCidr, uses)).toBe(false);
        }
        return;
      }
      for (const use of uses) {
        for (const text of [chosen.virtualCidr, chosen.tenantCidr]) {
          const range = parseRange(text);
          expect(range !== undefined && overlap(use.range, range)).toBe(false);
        }
      }
    }),
  );
});

test("an instance's own routes and bridges are its own; anything else in its slices is foreign", () => {
  const uses = usesOf(
    [
      { type: 'local', dst: '198.18.0.0/20', dev: 'lo' },
      { type: 'unreachable', dst: '198.19.0.0/20' },
      { dst: '198.19.0.64/26', dev: 'btabc-3' },
      { type: 'local', dst: '198.19.0.65', dev: 'btabc-3' },
      { dst: '198.19.1.0/26', dev: 'btxyz-1' },
      { dst: '198.18.0.0/15', dev: 'tun0' },
      { dst: '10.0.0.0/8', dev: 'eth0' },
    ],
    [],
  );
  expect(foreignUses(uses, slicesAt(0), 'btabc-').map((use) => use.dev)).toEqual(['btxyz-1', 'tun0']);
});
