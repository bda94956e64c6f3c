import fc from 'fast-check';
import { expect, test } from 'vitest';
import { assertNoOverlap } from '../../src/execute/network/host-networks.ts';
import { bridgesIn, ipBatchFile, staticFile } from '../../src/execute/network/static-table.ts';

const config = {
  agent: 'a1',
  virtualCidr: '198.18.0.0/16',
  tenantCidr: '198.19.0.0/16',
  bridgePrefix: 'bt-',
};

test('the bridges of a file are the ones it was made of', () => {
  const bridge = fc.stringMatching(/^[a-z0-9]{1,12}$/).map((name) => `bt-${name}`);
  fc.assert(
    fc.property(fc.uniqueArray(bridge), (bridges) => {
      expect(bridgesIn(staticFile(config, { bridges, egress: new Map(), resolvers: [] }), 'bt-')).toEqual(
        [...bridges].sort(),
      );
    }),
  );
  expect(bridgesIn('torn "bt-1" . "bt-2" "eth0" . "eth0" garbage', 'bt-')).toEqual([]);
});

test('the static part never flushes or deletes what holds the routes', () => {
  const text = staticFile(config, { bridges: ['bt-1'], egress: new Map(), resolvers: [] });
  expect(text).not.toMatch(/delete|flush map inet berth_a1 (routes|spread)|flush ruleset/);
  expect(text).toContain('flush table inet berth_a1\n');
});

test('ip is told in a form that can be repeated', () => {
  for (const line of ipBatchFile(config).trim().split('\n')) expect(line).toMatch(/^route replace /);
});

test.each([
  [{ range: '198.18.4.0/24', dev: 'eth1', kind: 'unicast' }, 'virtualCidr'],
  [{ range: '198.16.0.0/12', dev: 'eth1', kind: 'unicast' }, 'virtualCidr'],
  [{ range: '198.19.0.7/32', dev: 'tun0', kind: 'address' }, 'tenantCidr'],
  [{ range: '198.18.0.0/15', dev: '', kind: 'unreachable' }, 'virtualCidr'],
  [{ range: '198.18.0.0/17', dev: 'lo', kind: 'local' }, 'virtualCidr'],
])('%j is in the way', (network, setting) => {
  expect(() => assertNoOverlap(config, [network])).toThrow(
    expect.objectContaining({ code: 'conflict', details: expect.objectContaining({ setting }) }),
  );
});

test('our own routes and bridges and everybody else’s other ranges are not', () => {
  const networks = [
    { range: '198.18.0.0/16', dev: 'lo', kind: 'local' },
    { range: '198.19.0.0/16', dev: '', kind: 'unreachable' },
    { range: '198.19.4.0/26', dev: 'bt-4', kind: 'unicast' },
    { range: '10.0.0.0/8', dev: 'eth0', kind: 'unicast' },
    { range: '127.0.0.0/8', dev: 'lo', kind: 'local' },
    { range: 'fe80::/64', dev: 'eth0', kind: 'unicast' },
  ];
  expect(() => assertNoOverlap(config, networks)).not.toThrow();
});
