import type { ServiceSpec } from '@berth/shared/domain/spec';

/** A service as the compose room would give it, with only what a test cares about said. */
export function serviceSpec(name: string, change: Partial<ServiceSpec> = {}): ServiceSpec {
  return {
    name,
    image: `registry.test/${name}:1`,
    pullPolicy: 'missing',
    environment: {},
    groupAdd: [],
    init: false,
    tty: false,
    stdinOpen: false,
    stopGraceMs: 10_000,
    volumes: [],
    tmpfs: [],
    limits: { memoryBytes: 64 * 1024 * 1024, cpus: 0.5, pids: 100 },
    reservation: { memoryBytes: 64 * 1024 * 1024, cpus: 0.5 },
    ulimits: {},
    sysctls: {},
    extraHosts: {},
    logging: { driver: 'json-file', options: {} },
    labels: {},
    dependsOn: [],
    replicas: 1,
    restart: 'always',
    strategy: 'blue-green',
    profile: 'restricted',
    drainMs: 30_000,
    ...change,
  };
}
