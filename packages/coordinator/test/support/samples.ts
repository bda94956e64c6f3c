import type { DesiredTenant } from '@berth/shared/domain/desired';
import type { ServiceSpec, TenantSpec } from '@berth/shared/domain/spec';
import type { AgentEvent, HostReport, TenantReport } from '@berth/shared/protocol/report';
import type { Hello } from '@berth/shared/protocol/messages';
import { serviceSpec } from '../../../../test/fakes/service-spec.ts';
import type { TenantRecord } from '../../src/services/records.ts';

/** Small, complete values for tests: give what matters, the rest is as dull as possible. */

export const BY = { actor: 'test', requestId: 'r1' };
export const MIB = 1024 ** 2;
export const GIB = 1024 ** 3;

export function hostId(n: number): string {
  return `h_${String(n).padStart(16, '0')}`;
}

export function service(name: string, given: Partial<ServiceSpec> = {}): ServiceSpec {
  const limits = { memoryBytes: 256 * MIB, cpus: 0.5, pids: 256 };
  const reservation = { memoryBytes: 256 * MIB, cpus: 0.5 };
  return serviceSpec(name, { limits, reservation, drainMs: 1000, ...given });
}

export function spec(services: ServiceSpec[] = [service('web')]): TenantSpec {
  return { services, volumes: [], bakeMs: 0 };
}

export function desired(tenant: string, given: Partial<DesiredTenant> = {}): DesiredTenant {
  return {
    tenant,
    app: 'shop',
    release: 1,
    generation: 1,
    state: 'running',
    domains: [`${tenant}.example.com`],
    spec: spec(),
    ...given,
  };
}

export function record(tenant: string, given: Partial<TenantRecord> = {}): TenantRecord {
  return {
    tenant,
    app: 'shop',
    release: 1,
    generation: 1,
    state: 'running',
    host: hostId(1),
    pool: 'default',
    domains: [`${tenant}.example.com`],
    routes: [{ subdomain: '', path: '/' }],
    reservedMemory: 256 * MIB,
    reservedCpus: 0.5,
    surgeMemory: 256 * MIB,
    tags: [],
    pinned: null,
    window: null,
    tenancy: 'shared',
    egress: null,
    createdAt: 1,
    updatedAt: 1,
    ...given,
  };
}

export function report(tenant: string, given: Partial<TenantReport> = {}): TenantReport {
  return {
    tenant,
    generation: 1,
    live: 1,
    phase: 'settled',
    at: 1000,
    steps: [],
    problem: null,
    retryAt: null,
    containers: [],
    ...given,
  };
}

export function agentEvent(id: string, given: Partial<AgentEvent> = {}): AgentEvent {
  return {
    id,
    at: 1000,
    tenant: null,
    generation: null,
    kind: 'host.docker_up',
    message: 'Docker is up.',
    details: {},
    ...given,
  };
}

export const hostReport: HostReport = {
  memoryTotalBytes: 8 * GIB,
  memoryAvailableBytes: 4 * GIB,
  diskTotalBytes: 100 * GIB,
  diskAvailableBytes: 50 * GIB,
  cpus: 4,
  docker: 'up',
  nginx: 'up',
  containers: 3,
  orphans: [],
};

export function hello(host: string, given: Partial<Hello> = {}): Hello {
  return {
    type: 'hello',
    protocol: 1,
    host,
    signature: '',
    agentVersion: '0.1.0',
    bootId: 'boot',
    epoch: 1,
    revision: 0,
    digest: '0'.repeat(64),
    capacity: { memoryBytes: 8 * GIB, cpus: 4, diskBytes: 100 * GIB },
    facts: { kernel: '6.1' },
    ingress: { address: '127.0.0.1', port: 8080 },
    ...given,
  };
}
