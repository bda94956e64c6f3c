import { z } from 'zod';
import { Egress, egressText } from './egress.ts';
import { ERROR_CODES, unreachable } from './errors.ts';
import { ServiceName, TenantName, VolumeName } from './ids.ts';
import { Ipv4, RouteEntry, Site, TenantNetwork } from './network.ts';
import { ServiceSpec } from './spec.ts';

/**
 * - `colour`: belongs to one generation, replaced as a set.
 * - `keeper`: holds volumes or must never run twice; replaced in place, only when its own spec changes.
 * - `release`: the one-off container of a release command.
 */
export const ContainerRole = z.enum(['colour', 'keeper', 'release']);
export type ContainerRole = z.infer<typeof ContainerRole>;

/** All that is needed to create one container; its labels are made from these fields and nothing else. */
export const ContainerPlan = z.strictObject({
  name: z.string(),
  tenant: TenantName,
  app: z.string(),
  release: z.int(),
  generation: z.int(),
  service: ServiceName,
  replica: z.int().min(1),
  role: ContainerRole,
  spec: ServiceSpec,
  /** Hash of what the container is made of; a different hash means a different container. */
  specHash: z.string(),
  network: z.string(),
  address: Ipv4,
  /** Virtual address of the service's route, kept as a label so that lost state can be rebuilt. */
  virtual: Ipv4.optional(),
  /** `releaseKeyOf` its release, kept as a label so that lost state can be rebuilt. */
  releaseKey: z.string().optional(),
  /** /etc/hosts of the container: service name to the addresses of its own generation and of the keepers. */
  hosts: z.record(z.string(), z.array(Ipv4)),
});
export type ContainerPlan = z.infer<typeof ContainerPlan>;

export const ContainerRef = z.strictObject({
  id: z.string(),
  name: z.string(),
  service: ServiceName,
  graceMs: z.int().min(0),
});
export type ContainerRef = z.infer<typeof ContainerRef>;

const ofTenant = { tenant: TenantName };
const ofGeneration = { tenant: TenantName, generation: z.int() };

/** One action of an agent's plan: plain JSON, so it can be logged, shown, replayed and generated. Every step is idempotent. */
export const Step = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('ingress.apply'), sites: z.array(Site) }),
  z.strictObject({
    kind: z.literal('network.ensure'),
    ...ofTenant,
    network: TenantNetwork,
    /** Where those on it may connect to; the default when it is absent. */
    egress: Egress.optional(),
  }),
  z.strictObject({ kind: z.literal('network.remove'), ...ofTenant, network: TenantNetwork }),
  z.strictObject({ kind: z.literal('volume.ensure'), ...ofTenant, volumes: z.array(VolumeName) }),
  z.strictObject({ kind: z.literal('preflight'), ...ofGeneration, memoryBytes: z.int(), diskBytes: z.int() }),
  z.strictObject({
    kind: z.literal('image.ensure'),
    ...ofGeneration,
    image: z.string(),
    pullPolicy: ServiceSpec.shape.pullPolicy,
  }),
  /** Has all the secrets of these containers at hand and puts their files in memory, before anything is stopped for them. */
  z.strictObject({ kind: z.literal('secrets.open'), ...ofGeneration, containers: z.array(ContainerPlan) }),
  /** Creates the container of a release command and does not start it. */
  z.strictObject({ kind: z.literal('release.create'), ...ofGeneration, container: ContainerPlan }),
  z.strictObject({
    kind: z.literal('release.run'),
    ...ofGeneration,
    /** Names what the command is for, so that it runs once for each. */ key: z.string(),
    container: ContainerPlan,
    timeoutMs: z.int(),
    /** It runs already, and this waits for its end. */
    before: z.enum(['pause', 'removal', 'change']).optional(),
  }),
  /** Creates what is missing and starts what does not run. */
  z.strictObject({
    kind: z.literal('containers.start'),
    ...ofGeneration,
    containers: z.array(ContainerPlan),
  }),
  /** Starts containers that exist, by id: the way back to an old colour needs no spec. */
  z.strictObject({ kind: z.literal('containers.resume'), ...ofTenant, containers: z.array(ContainerRef) }),
  /** Waits until every container is healthy: its health check, its port, or simply still running. */
  z.strictObject({
    kind: z.literal('containers.probe'),
    ...ofGeneration,
    containers: z.array(ContainerPlan),
  }),
  /** Waits until existing containers run and, where Docker checks their health, are healthy. */
  z.strictObject({
    kind: z.literal('containers.settle'),
    ...ofTenant,
    containers: z.array(ContainerRef),
    timeoutMs: z.int(),
  }),
  z.strictObject({
    kind: z.literal('containers.stop'),
    ...ofTenant,
    containers: z.array(ContainerRef),
    why: z.string(),
  }),
  z.strictObject({
    kind: z.literal('containers.remove'),
    ...ofTenant,
    containers: z.array(ContainerRef),
    why: z.string(),
  }),
  /** One atomic nft transaction. `generation` is null when the route leads to no generation (paused, removed). */
  z.strictObject({
    kind: z.literal('route.switch'),
    ...ofTenant,
    generation: z.int().nullable(),
    entries: z.array(RouteEntry),
    /** Where they led there is no container any more. */
    because: z.literal('gone').optional(),
  }),
  z.strictObject({
    kind: z.literal('route.verify'),
    ...ofGeneration,
    checks: z.array(
      z.strictObject({ host: z.string(), path: z.string(), virtual: Ipv4, service: ServiceName }),
    ),
  }),
  /** Waits until no established connection has one of these addresses as its far end. */
  z.strictObject({ kind: z.literal('drain'), ...ofTenant, addresses: z.array(Ipv4), timeoutMs: z.int() }),
]);
export type Step = z.infer<typeof Step>;
export type StepKind = Step['kind'];
export type StepOf<K extends StepKind> = Extract<Step, { kind: K }>;

/** Why something did not succeed, for a person: what, where, and the container's last words. */
export const Problem = z.strictObject({
  code: z.enum(ERROR_CODES),
  message: z.string().max(2000),
  step: z.string(),
  service: z.string().nullable(),
  /** At most ten lines, control characters removed. */
  logTail: z.array(z.string().max(1000)).max(10),
  at: z.number(),
  /** Of a release command whose outcome nobody knows: what an operator's word on it must name. */
  releaseKey: z.string().max(100).optional(),
});
export type Problem = z.infer<typeof Problem>;

/** What running a step came to. An executor never throws for what can go wrong on a host; only abortion throws. */
export type StepOutcome = { kind: 'ok'; note?: string } | { kind: 'failed'; problem: Problem };

/** One line for a person. */
export function titleOf(step: Step): string {
  switch (step.kind) {
    case 'ingress.apply':
      return `tell Nginx its ${step.sites.length} sites`;
    case 'network.ensure':
      return `network ${step.network.subnet}${step.egress === undefined ? '' : `, may connect to: ${egressText(step.egress)}`}`;
    case 'network.remove':
      return 'remove the network';
    case 'volume.ensure':
      return `volumes ${step.volumes.join(', ')}`;
    case 'preflight':
      return 'check memory and disk';
    case 'image.ensure':
      return `image ${step.image}`;
    case 'secrets.open':
      return `open the secrets of ${names(step.containers)}`;
    case 'release.create':
      return `make the container of ${step.container.service}'s release command`;
    case 'release.run':
      return step.before === undefined
        ? `release command of ${step.container.service}`
        : `the ${step.before} waits for the release command of release ${step.container.release}`;
    case 'containers.start':
      return `start ${names(step.containers)} of generation ${step.generation}`;
    case 'containers.resume':
      return `start ${names(step.containers)} again`;
    case 'containers.probe':
      return `wait until ${names(step.containers)} is healthy`;
    case 'containers.settle':
      return `wait until ${names(step.containers)} is back`;
    case 'containers.stop':
      return `stop ${names(step.containers)} (${step.why})`;
    case 'containers.remove':
      return `remove ${names(step.containers)} (${step.why})`;
    case 'route.switch':
      if (step.because === 'gone') return 'lead no visitor to a container that is gone';
      if (step.generation !== null) return `switch the route to generation ${step.generation}`;
      return step.entries.some((entry) => entry.target.kind === 'maintenance')
        ? 'show the maintenance page'
        : step.entries.some((entry) => entry.target.kind === 'containers')
          ? 'end the maintenance page'
          : 'take the route away';
    case 'route.verify':
      return 'verify through Nginx';
    case 'drain':
      return 'drain open connections';
    default:
      return unreachable(step);
  }
}

function names(containers: readonly { service: string }[]): string {
  return [...new Set(containers.map((container) => container.service))].join(', ');
}
