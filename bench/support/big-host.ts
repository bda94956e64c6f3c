import type { DesiredState, DesiredTenant } from '@berth/shared/domain/desired';
import type { Site, TenantNetwork } from '@berth/shared/domain/network';
import type { ServiceSpec } from '@berth/shared/domain/spec';
import type { ContainerPlan } from '@berth/shared/domain/step';
import { plan } from '@berth/agent/plan/plan';
import { labelsOf } from '@berth/agent/system/labels';
import { serviceSpec } from '../../test/fakes/service-spec.ts';

/** A host as it is when all its tenants run: what is desired, and what Docker, Nginx and the kernel would show. */
export interface BigHost {
  desired: DesiredState;
  plans: ContainerPlan[];
  sites: Site[];
  /** As the container list has them. */
  containers: { Id: string; [field: string]: unknown }[];
  networks: unknown[];
}

export interface BigSettings {
  agent: string;
  virtualCidr: string;
  tenantCidr: string;
  tenantPrefix: number;
  bridgePrefix: string;
}

function service(name: string, change: Partial<ServiceSpec>): ServiceSpec {
  return serviceSpec(name, {
    image: `registry.example.com/shop/${name}@sha256:${'a'.repeat(64)}`,
    environment: { STORE: 'of this tenant', DATABASE_URL: 'postgres://user@db.example.com/tenant' },
    ...change,
  });
}

/** Tenants of two containers each, a routed `web` and a `worker`. */
export function bigHost(count: number, settings: BigSettings): BigHost {
  const tenants = Array.from({ length: count }, (_unused, index): DesiredTenant => {
    const tenant = `customer-${String(index + 1).padStart(4, '0')}`;
    return {
      tenant,
      app: 'shop',
      release: 1,
      generation: 3,
      state: 'running',
      domains: [`${tenant}.example.com`, `www.${tenant}.example.com`],
      spec: {
        services: [
          service('web', { route: { port: 8080, path: '/', health: '/' } }),
          service('worker', { command: ['/app/worker'] }),
        ],
        volumes: [],
        bakeMs: 60_000,
      },
    };
  });
  const desired: DesiredState = {
    epoch: 1,
    revision: 1,
    tenants: Object.fromEntries(tenants.map((each) => [each.tenant, each])),
    tombstones: {},
  };
  const made = plan({
    desired,
    mode: 'apply',
    statuses: new Map(),
    observed: { containers: [], networks: [], routes: new Map(), sites: null },
    reserved: [],
    settings,
    now: 0,
  });
  const steps = made.tenants.flatMap((each) => each.steps);
  const plans = steps.flatMap((step) => (step.kind === 'containers.start' ? step.containers : []));
  const nets = steps.flatMap((step) => (step.kind === 'network.ensure' ? [step.network] : []));
  return {
    desired,
    plans,
    sites: made.host.flatMap((step) => (step.kind === 'ingress.apply' ? step.sites : [])),
    containers: plans.map((each, index) => listEntry(settings.agent, each, index)),
    networks: nets.map((network) => networkEntry(settings.agent, network)),
  };
}

/** With everything Docker 20.10 writes, also what Berth does not read. */
function listEntry(agent: string, plan: ContainerPlan, index: number): BigHost['containers'][number] {
  return {
    Id: index.toString(16).padStart(64, '0'),
    Names: [`/${plan.name}`],
    Image: plan.spec.image,
    ImageID: `sha256:${'b'.repeat(64)}`,
    Command: '/app/web',
    Created: 1_790_000_000 + index,
    Ports: [],
    Labels: labelsOf(agent, plan),
    State: 'running',
    Status: 'Up 3 hours',
    HostConfig: { NetworkMode: plan.network },
    NetworkSettings: {
      Networks: {
        [plan.network]: {
          IPAMConfig: { IPv4Address: plan.address },
          Links: null,
          Aliases: null,
          NetworkID: 'c'.repeat(64),
          EndpointID: 'd'.repeat(64),
          Gateway: '198.19.0.1',
          IPAddress: plan.address,
          IPPrefixLen: 26,
          IPv6Gateway: '',
          GlobalIPv6Address: '',
          GlobalIPv6PrefixLen: 0,
          MacAddress: '02:42:c6:13:00:02',
          DriverOpts: null,
        },
      },
    },
    Mounts: [],
  };
}

function networkEntry(agent: string, network: TenantNetwork): unknown {
  return {
    Id: network.name.padEnd(64, '0'),
    Name: network.name,
    Driver: 'bridge',
    Labels: { 'berth.agent': agent, 'berth.tenant': network.tenant },
    IPAM: { Driver: 'default', Config: [{ Subnet: network.subnet, Gateway: network.gateway }] },
    Options: { 'com.docker.network.bridge.name': network.bridge },
  };
}
