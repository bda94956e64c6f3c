import type { Profile, ServiceSpec } from '../domain/spec.ts';
import { readServiceBerth } from './berth.ts';
import { readContainer } from './container.ts';
import type { DependencyAt } from './depends.ts';
import { readDependsOn } from './depends.ts';
import { readEnvironment } from './environment.ts';
import { fields } from './fields.ts';
import type { Spot } from './findings.ts';
import { readHealthcheck } from './health.ts';
import { IGNORED_IN_SERVICE } from './ignored.ts';
import { startsAsRoot } from './images.ts';
import { checkRights, readKernel } from './kernel.ts';
import { readResources } from './limits.ts';
import { DEFAULT_LOGGING, readLogging } from './logging.ts';
import { MISTAKEN_IN_SERVICE } from './mistaken.ts';
import type { Mounts } from './mounts.ts';
import { readMounts } from './mounts.ts';
import type { Entry } from './positions.ts';
import type { PortsFound } from './reach.ts';
import { checkNetworks, readPorts } from './reach.ts';
import { REFUSED_IN_SERVICE } from './refused.ts';
import { readSecretEnv, readSecretFiles, type DeclaredSecrets } from './secrets.ts';
import type { Filling } from './substitute.ts';
import { isDeferred } from './values.ts';

const KNOWN = (
  'image build command entrypoint environment env_file healthcheck depends_on volumes tmpfs deploy mem_limit ' +
  'mem_reservation cpus pids_limit scale stop_grace_period stop_signal user group_add init logging labels working_dir ' +
  'hostname tty stdin_open shm_size ulimits sysctls extra_hosts restart pull_policy read_only cap_add security_opt ' +
  'ports profiles network_mode networks secrets x-berth'
).split(' ');

/** A service as far as it can be decided alone. Its `dependsOn` and `route` are completed by the tenant. */
export interface ServiceDraft {
  spec: ServiceSpec;
  /** The place of its name. */
  at: Spot;
  routeAt: Spot | undefined;
  strategyAt: Spot | undefined;
  dependsOn: DependencyAt[];
  health: 'check' | 'none' | 'unknown';
  restart: { value: ServiceSpec['restart']; at: Spot } | undefined;
  ports: PortsFound | undefined;
  named: Mounts['named'];
  /** Its route, strategy or volumes are not all known yet. */
  open: boolean;
}

export interface Surroundings {
  filling: Filling;
  envFiles: Readonly<Record<string, string>>;
  networks: ReadonlySet<string>;
  secrets: DeclaredSecrets;
  /** The profile of services that name none. */
  profile: Profile | 'open';
}

/** Reads one service whose variables are already filled in. Always returns a draft; errors are in the findings. */
export function readService(entry: Entry, around: Surroundings): ServiceDraft {
  const { filling } = around;
  const f = filling.findings;
  const name = entry.key;
  const given = fields(f, entry.value, {
    what: 'a service',
    known: KNOWN,
    ignored: IGNORED_IN_SERVICE,
    refused: REFUSED_IN_SERVICE,
    mistaken: MISTAKEN_IN_SERVICE,
  });
  const berth = readServiceBerth(f, given.get('x-berth'));
  const profile = berth.profile ?? around.profile;
  const resources = readResources(f, given);
  const mounts = readMounts(f, name, given.get('volumes'), given.get('tmpfs'));
  const healthNode = given.get('healthcheck');
  const health = healthNode === undefined ? { kind: 'none' as const } : readHealthcheck(f, healthNode);
  const logging = given.get('logging');
  const dependsOn = given.get('depends_on');
  const ports = given.get('ports');
  checkRights(f, given, profile === 'open' ? undefined : profile);
  checkNetworks(f, given, around.networks);

  const container = readContainer(f, entry.value.kind === 'map' ? entry : undefined, given);
  const environment = readEnvironment(
    filling,
    name,
    given.get('environment'),
    given.get('env_file'),
    around.envFiles,
  );
  const secrets = given.get('secrets');
  const secretFiles = secrets === undefined ? [] : readSecretFiles(filling, secrets, around.secrets);
  const secretEnv =
    berth.secretEnv === undefined ? {} : readSecretEnv(filling, berth.secretEnv, around.secrets, environment);
  const spec: ServiceSpec = {
    name,
    ...container,
    environment,
    ...(secretFiles.length === 0 ? {} : { secrets: secretFiles }),
    ...(Object.keys(secretEnv).length === 0 ? {} : { secretEnv }),
    ...(health.kind === 'check' ? { healthcheck: health.check } : {}),
    volumes: mounts.volumes,
    tmpfs: mounts.tmpfs,
    ...readKernel(f, given),
    limits: resources.limits,
    reservation: resources.reservation,
    replicas: resources.replicas,
    logging: logging === undefined ? DEFAULT_LOGGING : readLogging(f, logging),
    dependsOn: [],
    restart: resources.restart?.value ?? 'always',
    strategy: berth.strategy ?? (mounts.volumes.length > 0 ? 'in-place' : 'blue-green'),
    profile: profile === 'open' ? 'restricted' : profile,
    ...(berth.route === undefined ? {} : { route: berth.route }),
    drainMs: berth.drainMs,
  };
  const image = given.get('image');
  const byDefault =
    berth.profile === undefined && profile === 'restricted' && given.get('user') === undefined;
  if (image !== undefined && !isDeferred(image) && byDefault && startsAsRoot(spec.image)) {
    f.warn(
      image,
      'this image starts as root to prepare its files, which the default profile prevents; add x-berth.profile: compatible',
    );
  }
  return {
    spec,
    at: entry,
    routeAt: berth.routeAt,
    strategyAt: berth.strategyAt,
    dependsOn: dependsOn === undefined ? [] : readDependsOn(f, dependsOn),
    health: health.kind,
    restart: resources.restart,
    ports: ports === undefined ? undefined : readPorts(f, ports),
    named: mounts.named,
    open: mounts.open || berth.open,
  };
}
