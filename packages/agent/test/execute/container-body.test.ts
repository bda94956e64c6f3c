import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ServiceSpec } from '@berth/shared/domain/spec';
import { containerBody } from '../../src/execute/docker/container-body.ts';
import { planWith } from './plans.ts';

interface Body {
  HostConfig: Record<string, unknown>;
  Labels: Record<string, string>;
  Env: string[];
}

// The body goes to Docker as JSON; this is what Docker sees.
function bodyOf(...options: Parameters<typeof planWith>): Body {
  return JSON.parse(JSON.stringify(containerBody('a1', planWith(...options)))) as Body;
}

test('no spec opens the container: no privilege, port, host path or host namespace', () => {
  const spec = fc.record({
    profile: fc.constantFrom('restricted' as const, 'writable' as const, 'compatible' as const),
    environment: fc.dictionary(fc.string(), fc.string()),
    labels: fc.dictionary(fc.string(), fc.string()),
    hostname: fc.string(),
    user: fc.string(),
    sysctls: fc.dictionary(fc.string(), fc.string()),
    extraHosts: fc.dictionary(fc.string(), fc.string()),
    restart: fc.constantFrom('always' as const, 'on-failure' as const, 'no' as const),
  });
  fc.assert(
    fc.property(spec, (values) => {
      const { HostConfig } = bodyOf(values);
      expect(HostConfig).toMatchObject({
        Privileged: false,
        PublishAllPorts: false,
        SecurityOpt: ['no-new-privileges:true'],
        CapDrop: ['ALL'],
        IpcMode: 'private',
        NetworkMode: 'a1-acme',
        Memory: 64 * 1024 * 1024,
        MemorySwap: 64 * 1024 * 1024,
        PidsLimit: 64,
        CpuQuota: 50_000,
      });
      for (const key of [
        'Binds',
        'Devices',
        'PortBindings',
        'PidMode',
        'UTSMode',
        'UsernsMode',
        'VolumesFrom',
      ])
        expect(HostConfig).not.toHaveProperty(key);
      expect(HostConfig['ReadonlyRootfs']).toBe(values.profile === 'restricted');
      expect(JSON.stringify(HostConfig['CapAdd'] ?? [])).not.toMatch(/NET_RAW|MKNOD|SYS_ADMIN|NET_ADMIN/);
    }),
  );
});

test('only volumes of the tenant itself are mounted', () => {
  const { HostConfig } = bodyOf({ volumes: [{ volume: 'data', target: '/data', readOnly: true }] });
  expect(HostConfig['Mounts']).toEqual([
    { Type: 'volume', Source: 'a1-acme_data', Target: '/data', ReadOnly: true },
  ]);
});

test('a release command is never started again by Docker', () => {
  expect(bodyOf({ restart: 'always' }, { role: 'release' }).HostConfig['RestartPolicy']).toEqual({
    Name: 'no',
  });
});

test('durations reach Docker in nanoseconds and whole seconds', () => {
  const healthcheck = {
    test: ['CMD', 'true'],
    intervalMs: 1_500,
    timeoutMs: 200,
    retries: 3,
    startPeriodMs: 0,
    startIntervalMs: 50,
  };
  expect(bodyOf({ healthcheck, stopGraceMs: 1_001 })).toMatchObject({
    StopTimeout: 2,
    Healthcheck: { Interval: 1_500_000_000, Timeout: 200_000_000, Retries: 3, StartPeriod: 0 },
  });
});

test('logs turn over unless the app says how', () => {
  expect(bodyOf().HostConfig['LogConfig']).toEqual({
    Type: 'json-file',
    Config: { 'max-size': '10m', 'max-file': '3' },
  });
  expect(bodyOf({ logging: { driver: 'none', options: {} } }).HostConfig['LogConfig']).toEqual({
    Type: 'none',
    Config: {},
  });
});

test('the plan that these tests use is one that the schema accepts', () => {
  expect(ServiceSpec.safeParse(planWith().spec).success).toBe(true);
});
