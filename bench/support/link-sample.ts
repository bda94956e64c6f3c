import type { DesiredTenant } from '@berth/shared/domain/desired';

/** A tenant of ordinary size, as the wire carries it for a change. */
export function sampleTenant(tenant: string, generation: number): DesiredTenant {
  const service = (name: string): DesiredTenant['spec']['services'][number] => ({
    name,
    image: `registry.example.com/shop-${name}@sha256:6b8f0c1e4a3f4c0f9b6f3f0f6b0b2d4c9a7f5e1d3c2b1a09f8e7d6c5b4a39281`,
    pullPolicy: 'missing',
    command: [`/app/${name}`],
    environment: {
      BERTH_TENANT: tenant,
      DATABASE_URL: `postgres://database/${tenant}`,
      VERSION: String(generation),
    },
    groupAdd: [],
    init: true,
    tty: false,
    stdinOpen: false,
    stopGraceMs: 10_000,
    volumes: [],
    tmpfs: [],
    limits: { memoryBytes: 268_435_456, cpus: 0.5, pids: 256 },
    reservation: { memoryBytes: 134_217_728, cpus: 0.1 },
    ulimits: {},
    sysctls: {},
    extraHosts: {},
    logging: { driver: 'json-file', options: { 'max-size': '10m' } },
    labels: {},
    dependsOn: [],
    replicas: 1,
    restart: 'always',
    strategy: 'blue-green',
    profile: 'restricted',
    drainMs: 30_000,
  });
  return {
    tenant,
    app: 'shop',
    release: generation,
    generation,
    state: 'running',
    domains: [`${tenant}.example.com`],
    spec: {
      services: [{ ...service('web'), route: { port: 8080, path: '/', health: '/' } }, service('worker')],
      volumes: [],
      bakeMs: 120_000,
    },
  };
}
