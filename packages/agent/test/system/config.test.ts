import { expect, test } from 'vitest';
import { HostConfig } from '../../src/system/config.ts';
import { volumeName } from '../../src/system/names.ts';
import { memoryFrom } from '../../src/system/host-facts.ts';

const good = {
  agent: 'a1',
  stateDir: '/var/lib/berth',
  dockerSocket: '/run/docker.sock',
  virtualCidr: '198.18.0.0/16',
  tenantCidr: '198.19.0.0/16',
  tenantPrefix: 26,
  bridgePrefix: 'bt-',
  nginx: {
    binary: 'nginx',
    listenAddress: '0.0.0.0',
    httpPort: 80,
    internalPort: 8079,
    start: 'agent',
  },
  reserve: { memoryBytes: 0, diskBytes: 0 },
};

test('a good configuration is taken as it is', () => {
  expect(HostConfig.parse(good)).toEqual(good);
});

test.each([
  { agent: 'Has-Dash' },
  { agent: 'a"; drop' },
  { stateDir: 'relative' },
  { virtualCidr: '198.18.0.1/16' },
  { virtualCidr: '198.18.0.0/16; x' },
  { tenantCidr: '198.18.128.0/17' },
  { bridgePrefix: 'toolong-' },
  { bridgePrefix: 'a"*' },
  { nginx: { ...good.nginx, listenAddress: '1.2.3.4; include /etc/passwd' } },
])('%j is refused', (change) => {
  expect(HostConfig.safeParse({ ...good, ...change }).success).toBe(false);
});

test('no two tenants share the name of a volume', () => {
  expect(volumeName('a1', 'a', 'b-c')).not.toBe(volumeName('a1', 'a-b', 'c'));
  expect(volumeName('a1', 'a', 'b_c')).not.toBe(volumeName('a1', 'a-b', 'c'));
});

test('memory is read in bytes, and a file without it is an error', () => {
  expect(memoryFrom('MemTotal:    2000 kB\nMemFree: 1 kB\nMemAvailable:  1000 kB\n')).toEqual({
    totalBytes: 2_048_000,
    availableBytes: 1_024_000,
  });
  expect(() => memoryFrom('')).toThrow('MemTotal');
});
