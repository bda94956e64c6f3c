import type { Profile, ServiceSpec } from '@berth/shared/domain/spec';
import type { ContainerPlan } from '@berth/shared/domain/step';
import { unreachable } from '@berth/shared/domain/errors';
import type { SecretParts } from '../context.ts';
import { labelsOf, SECRETS_LABEL } from '../../system/labels.ts';
import { volumeName } from '../../system/names.ts';

/** Docker's default capabilities without NET_RAW (spoofing inside the network) and MKNOD. */
const COMPATIBLE_CAPABILITIES = [
  'AUDIT_WRITE',
  'CHOWN',
  'DAC_OVERRIDE',
  'FOWNER',
  'FSETID',
  'KILL',
  'NET_BIND_SERVICE',
  'SETFCAP',
  'SETGID',
  'SETPCAP',
  'SETUID',
  'SYS_CHROOT',
];

/**
 * Docker's create call for one container. Nothing here can widen the profile: no published port, no host path
 * but the agent's own of the container's secrets, no host namespace, no privilege, whatever the spec says.
 */
export function containerBody(
  agent: string,
  plan: ContainerPlan,
  secrets: SecretParts = NO_SECRETS,
): Record<string, unknown> {
  const { spec } = plan;
  return {
    Image: spec.image,
    Env: Object.entries({ ...spec.environment, ...secrets.environment }).map(
      ([name, value]) => `${name}=${value}`,
    ),
    Labels: {
      ...labelsOf(agent, plan),
      ...(secrets.set === null ? {} : { [SECRETS_LABEL]: secrets.set }),
    },
    Tty: spec.tty,
    OpenStdin: spec.stdinOpen,
    StopTimeout: Math.ceil(spec.stopGraceMs / 1000),
    ...(spec.command === undefined ? {} : { Cmd: spec.command }),
    // One empty string is Docker's word for: not the image's either.
    ...(spec.entrypoint === undefined
      ? {}
      : { Entrypoint: spec.entrypoint.length === 0 ? [''] : spec.entrypoint }),
    ...(spec.user === undefined ? {} : { User: spec.user }),
    ...(spec.workingDir === undefined ? {} : { WorkingDir: spec.workingDir }),
    ...(spec.hostname === undefined ? {} : { Hostname: spec.hostname }),
    ...(spec.stopSignal === undefined ? {} : { StopSignal: spec.stopSignal }),
    // Only the template's check counts; one that an image brings along would be watched without having been asked for.
    Healthcheck: spec.healthcheck === undefined ? { Test: ['NONE'] } : healthcheckBody(spec.healthcheck),
    HostConfig: hostConfig(agent, plan, secrets),
    NetworkingConfig: {
      EndpointsConfig: { [plan.network]: { IPAMConfig: { IPv4Address: plan.address } } },
    },
  };
}

const NO_SECRETS: SecretParts = { set: null, mounts: [], environment: {} };

function hostConfig(agent: string, plan: ContainerPlan, secrets: SecretParts): Record<string, unknown> {
  const { spec } = plan;
  return {
    ...hardening(spec.profile),
    NetworkMode: plan.network,
    IpcMode: 'private',
    CgroupnsMode: 'private',
    PublishAllPorts: false,
    Memory: spec.limits.memoryBytes,
    // As much as memory: no swap, so that one tenant cannot make the host crawl.
    MemorySwap: spec.limits.memoryBytes,
    // A quota instead of NanoCpus, which Docker refuses when the host has fewer cores.
    CpuPeriod: 100_000,
    CpuQuota: Math.max(1_000, Math.round(spec.limits.cpus * 100_000)),
    PidsLimit: spec.limits.pids,
    Init: spec.init,
    RestartPolicy: { Name: restartPolicy(plan) },
    LogConfig: logConfig(spec),
    GroupAdd: spec.groupAdd,
    ExtraHosts: extraHosts(plan),
    Sysctls: spec.sysctls,
    Ulimits: Object.entries(spec.ulimits).map(([Name, { soft, hard }]) => ({ Name, Soft: soft, Hard: hard })),
    Mounts: [
      ...spec.volumes.map((mount) => ({
        Type: 'volume',
        Source: volumeName(agent, plan.tenant, mount.volume),
        Target: mount.target,
        ReadOnly: mount.readOnly,
      })),
      // Where the source is missing Docker starts nothing: there is never an empty directory instead.
      ...secrets.mounts.map(({ source, target }) => ({
        Type: 'bind',
        Source: source,
        Target: target,
        ReadOnly: true,
        BindOptions: { Propagation: 'rprivate' },
      })),
    ],
    Tmpfs: Object.fromEntries(spec.tmpfs.map((mount) => [mount.target, tmpfsOptions(mount)])),
    ...(spec.shmSizeBytes === undefined ? {} : { ShmSize: spec.shmSizeBytes }),
  };
}

/**
 * With Docker's `always`, a container that was stopped on purpose (a paused tenant, an old colour) would come back with
 * the daemon; `unless-stopped` is what is meant.
 */
function restartPolicy(plan: ContainerPlan): string {
  if (plan.role === 'release') return 'no';
  return plan.spec.restart === 'always' ? 'unless-stopped' : plan.spec.restart;
}

function hardening(profile: Profile): Record<string, unknown> {
  const common = { Privileged: false, SecurityOpt: ['no-new-privileges:true'], CapDrop: ['ALL'] };
  switch (profile) {
    case 'restricted':
      return { ...common, ReadonlyRootfs: true };
    case 'writable':
      return { ...common, ReadonlyRootfs: false };
    case 'compatible':
      return { ...common, ReadonlyRootfs: false, CapAdd: COMPATIBLE_CAPABILITIES };
    default:
      return unreachable(profile);
  }
}

function healthcheckBody(check: NonNullable<ServiceSpec['healthcheck']>): Record<string, unknown> {
  const nanoseconds = (ms: number): number => ms * 1_000_000;
  return {
    Test: check.test,
    Interval: nanoseconds(check.intervalMs),
    Timeout: nanoseconds(check.timeoutMs),
    Retries: check.retries,
    StartPeriod: nanoseconds(check.startPeriodMs),
    StartInterval: nanoseconds(check.startIntervalMs),
  };
}

function extraHosts(plan: ContainerPlan): string[] {
  const lines: string[] = [];
  for (const [name, addresses] of Object.entries(plan.hosts))
    for (const address of addresses) lines.push(`${name}:${address}`);
  for (const [name, address] of Object.entries(plan.spec.extraHosts)) lines.push(`${name}:${address}`);
  return lines;
}

function tmpfsOptions(mount: ServiceSpec['tmpfs'][number]): string {
  const options = ['rw', 'nosuid', 'nodev'];
  if (mount.sizeBytes !== undefined) options.push(`size=${mount.sizeBytes}`);
  if (mount.mode !== undefined) options.push(`mode=${mount.mode}`);
  return options.join(',');
}

/** Docker's own default keeps one file that grows for ever; ours turns over. */
function logConfig(spec: ServiceSpec): Record<string, unknown> {
  const { driver, options } = spec.logging;
  const bounded = driver === 'json-file' || driver === 'local';
  const Config = bounded ? { 'max-size': '10m', 'max-file': '3', ...options } : options;
  return { Type: driver, Config };
}
